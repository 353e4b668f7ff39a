/** `Fence` for the agent: follows the guardian's views and finds the guests' namespace. */
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Fence, HeartbeatView } from '@stead/core/ports/fence.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { isAlive, readStat } from '../process/detached.ts'
import { AGENT_SIGN_MS } from './agent-watch.ts'
import type { GuardianUpdate } from './control-server.ts'

const RECONNECT_MS = 200
/**
 * A guardian that pushes nothing for this long is frozen or gone: its last view no longer says anything. Several
 * times its longest pause between pushes (5 heartbeats).
 */
const VIEW_AGE_MS_MAX = 3000

export interface GuardianFenceOptions {
  readonly controlSocket: string
  /** Written by `stead-deadman`: "PARENT INIT INIT_STARTTIME". */
  readonly deadmanPidFile: string
  /** The connection to the guardian has ended: it may have. */
  readonly onLost: () => void
  readonly clock: Clock
  readonly log: Log
}

export class GuardianFence implements Fence {
  readonly #options: GuardianFenceOptions
  readonly #listeners = new Set<(view: HeartbeatView) => void>()
  #socket: Socket | undefined
  #retry: NodeJS.Timeout | undefined
  #closed = false
  #view: HeartbeatView | undefined
  #viewAt = -Infinity
  #update: GuardianUpdate = {}
  #trouble = ''
  readonly #signs: NodeJS.Timeout

  constructor(options: GuardianFenceOptions) {
    this.#options = options
    this.#open()
    this.#signs = setInterval(() => this.#sayAlive(), AGENT_SIGN_MS)
  }

  view(): HeartbeatView | undefined {
    return this.#options.clock.monotonicMs() - this.#viewAt <= VIEW_AGE_MS_MAX ? this.#view : undefined
  }

  subscribe(listener: (view: HeartbeatView) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async guestNamespacePid(): Promise<number | undefined> {
    let text: string
    try {
      text = await readFile(this.#options.deadmanPidFile, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const [, init, startTime] = text.trim().split(' ')
    const pid = Number(init)
    if (!Number.isInteger(pid) || pid <= 0 || !startTime) return undefined
    return isAlive({ pid, startTime }) ? pid : undefined
  }

  /** Tells the guardian of joined or left hosts and of a changed detection time; told again after its restart. */
  update(update: GuardianUpdate): void {
    this.#update = { ...this.#update, ...update }
    this.#socket?.write(`${JSON.stringify(update)}\n`)
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#signs)
    clearTimeout(this.#retry)
    this.#socket?.destroy()
    this.#listeners.clear()
  }

  /** From this process's event loop: when that hangs, nothing is said. */
  #sayAlive(): void {
    const startTime = readStat(process.pid)?.startTime
    if (startTime !== undefined) this.#socket?.write(`${JSON.stringify({ agent: { pid: process.pid, startTime } })}\n`)
  }

  #open(): void {
    const socket = connect(this.#options.controlSocket)
    let unread = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => {
      this.#socket = socket
      this.#trouble = ''
      this.#sayAlive()
      if (Object.keys(this.#update).length > 0) socket.write(`${JSON.stringify(this.#update)}\n`)
    })
    socket.on('data', (chunk: string) => {
      unread += chunk
      for (let end = unread.indexOf('\n'); end >= 0; end = unread.indexOf('\n')) {
        this.#hear(unread.slice(0, end))
        unread = unread.slice(end + 1)
      }
    })
    socket.on('error', (error) => {
      const trouble = (error as NodeJS.ErrnoException).code ?? error.message
      if (trouble !== this.#trouble) this.#options.log.warn('the guardian cannot be reached', { trouble })
      this.#trouble = trouble
    })
    socket.on('close', () => {
      this.#socket = undefined
      this.#view = undefined
      this.#options.onLost()
      if (!this.#closed) this.#retry = setTimeout(() => this.#open(), RECONNECT_MS)
    })
  }

  #hear(line: string): void {
    const message = JSON.parse(line) as { readonly view?: HeartbeatView; readonly refused?: string }
    if (message.refused) this.#options.log.error('the guardian refused an update', { reason: message.refused })
    if (!message.view) return
    this.#view = message.view
    // The guardian's own time stamp: a view that waited in a buffer is as old as it is.
    this.#viewAt = message.view.at
    for (const listener of this.#listeners) listener(message.view)
  }
}
