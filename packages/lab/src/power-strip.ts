/**
 * The lab's power distribution unit: takes orders of the hosts' agents on a unix socket and pulls or plugs their
 * hosts, from outside of all of them. `POST /outlets/HOST/off` or `/on`. docs/internals/power.md.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { FAILURES, failure, hintOf, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { powerStripSocket, type LabPlaces } from './topology.ts'

/** So long the relay waits: the host that ordered its own end answers, and records, what it was asked. */
const RELAY_MS = 500

/** Serves until the process ends. */
export function runPowerStrip(env: NodeJS.ProcessEnv, places: LabPlaces): Promise<void> {
  const socket = powerStripSocket(places)
  const going = new Set<string>()
  const server = createServer((asked, reply) => {
    const [, name, state] = /^\/outlets\/([a-z0-9-]+)\/(on|off)$/.exec(asked.url ?? '') ?? []
    asked.resume()
    if (asked.method !== 'POST' || name === undefined)
      return answer(reply, fail(failure('not_found', `a power strip has no ${asked.method} ${asked.url}`)))
    const order = state === 'off' ? switchOff(env, places, name, going) : switchOn(env, places, name)
    void order.then(
      (done) => answer(reply, done),
      (cause: unknown) => answer(reply, fail(failure('internal', 'the power strip failed', { cause }))),
    )
  })
  rmSync(socket, { force: true })
  return new Promise((resolve) => {
    server.listen(socket, () => {
      chmodSync(socket, 0o600)
      resolve()
    })
  })
}

/** The rest of the lab is loaded with the first order: most labs never get one. */
async function outlet(env: NodeJS.ProcessEnv, places: LabPlaces, name: string) {
  const { findHost, findLab } = await import('./lab.ts')
  const { hostPower, powerOff, powerOn } = await import('./lab-host.ts')
  const { withLabLock } = await import('./lab-lock.ts')
  const lab = findLab(env, places)
  if (!lab.ok) return lab
  const host = findHost(lab.value, name)
  if (!host.ok) return host
  const { boot } = lab.value
  return ok({
    power: hostPower(boot, name),
    off: () => withLabLock(places.folder, () => powerOff(boot, name)),
    on: () => withLabLock(places.folder, () => powerOn(boot, host.value)),
  })
}

async function switchOff(
  env: NodeJS.ProcessEnv,
  places: LabPlaces,
  name: string,
  going: Set<string>,
): Promise<Result<void>> {
  const found = await outlet(env, places, name)
  if (!found.ok) return found
  if (found.value.power === 'off' || going.has(name)) return fail(failure('conflict', `${name} has no power already`))
  going.add(name)
  void delay(RELAY_MS)
    .then(found.value.off)
    .then((done) => {
      if (!done.ok) console.error(`${name} keeps its power: ${done.error.message}`)
    })
    .finally(() => going.delete(name))
  return ok()
}

async function switchOn(env: NodeJS.ProcessEnv, places: LabPlaces, name: string): Promise<Result<void>> {
  const found = await outlet(env, places, name)
  if (!found.ok) return found
  return found.value.power === 'off' ? found.value.on() : fail(failure('conflict', `${name} has power already`))
}

function answer(reply: ServerResponse, done: Result<void>): void {
  if (done.ok) {
    reply.writeHead(204).end()
    return
  }
  const { code, message }: Failure = done.error
  reply.writeHead(FAILURES[code].status, { 'content-type': 'application/json' })
  reply.end(JSON.stringify({ code, message, hint: hintOf(done.error) }))
}
