/**
 * The lab's only door on the machine: a port on loopback, handed on to the agent of any living host. With the power
 * strip it is a process of its own, in the lab's control group, so that it outlives `lab up` and dies with the lab.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { agentAnswers } from './agent-health.ts'
import { createCgroup, isGone } from './control-group.ts'
import { joinedTo } from './lab-host.ts'
import type { LabPlaces } from './topology.ts'
import { writeWhole } from './write-whole.ts'

const CHECK_INTERVAL_MS = 1_000
const CONNECT_MS_MAX = 1000
const PORTS_TRIED = 100
const START_MS_MAX = 10_000

export interface ForwarderNote {
  readonly pid: number
  readonly port: number
}

/** Starts the detached process and returns its port once it listens. */
export async function startForwarder(
  places: LabPlaces,
  cgroup: string,
  sockets: readonly string[],
  firstPort: number,
): Promise<Result<number>> {
  const grouped = createCgroup(cgroup)
  if (!grouped.ok) return grouped
  const note = forwarderFile(places)
  rmSync(note, { force: true })
  const main = fileURLToPath(new URL('./forwarder-main.ts', import.meta.url))
  const [file = '', ...args] = joinedTo(cgroup, [
    ...[process.execPath, main, places.lab, note, String(firstPort)],
    ...sockets,
  ])
  const log = openSync(join(places.folder, 'forwarder.log'), 'a', 0o600)
  spawn(file, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' }).unref()
  closeSync(log)
  const end = performance.now() + START_MS_MAX
  while (performance.now() < end) {
    const written = readForwarder(places)
    if (written !== undefined) return ok(written.port)
    await delay(10)
  }
  const hint = `Its log: ${join(places.folder, 'forwarder.log')}`
  return fail(failure('timeout', 'the loopback forwarder did not start', { hint }))
}

export function readForwarder(places: LabPlaces): ForwarderNote | undefined {
  try {
    return JSON.parse(readFileSync(forwarderFile(places), 'utf8')) as ForwarderNote
  } catch (cause) {
    if (isGone(cause) || cause instanceof SyntaxError) return undefined
    throw cause
  }
}

/** Serves until the process ends. */
export async function runForwarder(noteFile: string, firstPort: number, sockets: readonly string[]): Promise<void> {
  const healthy = new Set(sockets)
  const open = new Map<string, Set<Socket>>(sockets.map((socket) => [socket, new Set()]))
  const server = createServer((client) => void forward(client, sockets, healthy, open))
  const port = await listenOnFreePort(server, firstPort)
  writeWhole(noteFile, JSON.stringify({ pid: process.pid, port } satisfies ForwarderNote))
  for (;;) {
    await Promise.all(
      sockets.map(async (socket) => {
        if (await agentAnswers(socket)) return healthy.add(socket)
        healthy.delete(socket)
        // Clients of a host that no longer answers are cut off, so that they try again and reach another one.
        for (const connection of open.get(socket) ?? []) connection.destroy()
      }),
    )
    await delay(CHECK_INTERVAL_MS)
  }
}

async function forward(
  client: Socket,
  sockets: readonly string[],
  healthy: ReadonlySet<string>,
  open: ReadonlyMap<string, Set<Socket>>,
): Promise<void> {
  client.on('error', () => client.destroy())
  for (const socket of sockets.toSorted((a, b) => Number(healthy.has(b)) - Number(healthy.has(a)))) {
    const agent = await connectTo(socket)
    if (agent === undefined) continue
    open.get(socket)?.add(agent)
    agent.on('close', () => {
      open.get(socket)?.delete(agent)
      client.destroy()
    })
    client.on('close', () => agent.destroy())
    if (client.destroyed) agent.destroy()
    else client.pipe(agent).pipe(client)
    return
  }
  client.destroy()
}

function connectTo(socket: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const agent = connect(socket)
    const limit = setTimeout(() => agent.destroy(), CONNECT_MS_MAX)
    agent.on('error', () => agent.destroy())
    agent.on('close', () => {
      clearTimeout(limit)
      resolve(undefined)
    })
    agent.on('connect', () => {
      clearTimeout(limit)
      resolve(agent)
    })
  })
}

async function listenOnFreePort(server: Server, first: number): Promise<number> {
  for (let port = first; ; port++) {
    const failed = await new Promise<Error | undefined>((resolve) => {
      server.once('error', resolve)
      server.listen({ host: '127.0.0.1', port }, () => {
        server.off('error', resolve)
        resolve(undefined)
      })
    })
    if (failed === undefined) return port
    if ((failed as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port >= first + PORTS_TRIED) throw failed
  }
}

const forwarderFile = (places: LabPlaces): string => join(places.folder, 'forwarder.json')
