/** The guardian's control socket: newline JSON. Views go out to every subscriber, updates come in. */
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { DetachedProcess } from '../process/detached.ts'
import { findPeersFault, type GuardianPeer } from './guardian-config.ts'
import { findKeysFault, type HeartbeatKeys } from './heartbeat-keys.ts'

/** A subscriber that reads this little is hung; it is dropped and may come again. */
const BACKLOG_BYTES_MAX = 1_000_000
const LINE_BYTES_MAX = 1_000_000

export interface GuardianUpdate {
  readonly peers?: readonly GuardianPeer[]
  readonly detectionMs?: number
  /** Whether HA is armed: while it is not, this host does not fence itself. */
  readonly armed?: boolean
  readonly keys?: HeartbeatKeys
  /** The agent's sign of life: who it is. */
  readonly agent?: DetachedProcess
}

export interface ControlServerOptions {
  readonly path: string
  readonly log: Log
  readonly onUpdate: (update: GuardianUpdate) => void
  /** Sent to each new subscriber at once. */
  readonly presentView: () => HeartbeatView
}

export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #subscribers = new Set<Socket>()
  readonly #server: Server

  private constructor(options: ControlServerOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#serve(socket))
  }

  /** Rejects when the socket cannot be bound. A socket file left by a predecessor is replaced. */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const control = new ControlServer(options)
    rmSync(options.path, { force: true })
    // Whoever can write here can change who counts as a peer: for root only.
    const mask = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => {
        control.#server.once('error', reject)
        control.#server.listen(options.path, resolve)
      })
    } finally {
      process.umask(mask)
    }
    return control
  }

  get subscriberCount(): number {
    return this.#subscribers.size
  }

  push(view: HeartbeatView): void {
    if (this.#subscribers.size === 0) return
    const line = `${JSON.stringify({ view })}\n`
    for (const socket of this.#subscribers) {
      if (socket.writableLength > BACKLOG_BYTES_MAX) socket.destroy()
      else socket.write(line)
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#subscribers) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #serve(socket: Socket): void {
    this.#subscribers.add(socket)
    socket.on('close', () => this.#subscribers.delete(socket))
    socket.on('error', (error) => this.#options.log.debug('a subscriber went away', { error: error.message }))
    let unread = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      unread += chunk
      let end = unread.indexOf('\n')
      for (; end >= 0; end = unread.indexOf('\n')) {
        this.#obey(socket, unread.slice(0, end))
        unread = unread.slice(end + 1)
      }
      if (unread.length > LINE_BYTES_MAX) socket.destroy()
    })
    socket.write(`${JSON.stringify({ view: this.#options.presentView() })}\n`)
  }

  #obey(socket: Socket, line: string): void {
    const update = parseUpdate(line)
    if (typeof update === 'string') {
      this.#options.log.warn('an update was refused', { reason: update })
      socket.write(`${JSON.stringify({ refused: update })}\n`)
    } else {
      this.#options.onUpdate(update)
    }
  }
}

function isProcess(value: unknown): value is DetachedProcess {
  if (typeof value !== 'object' || value === null) return false
  const { pid, startTime } = value as Record<string, unknown>
  return Number.isSafeInteger(pid) && typeof startTime === 'string'
}

/** The update, or what is wrong with it. */
function parseUpdate(line: string): GuardianUpdate | string {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'not JSON'
  }
  if (typeof value !== 'object' || value === null) return 'not an object'
  const { peers, detectionMs, armed, keys, agent, ...others } = value as Record<string, unknown>
  const unknown = Object.keys(others)[0]
  if (unknown !== undefined) return `unknown field ${unknown}`
  const fault =
    (peers === undefined ? undefined : findPeersFault(peers)) ?? (keys === undefined ? undefined : findKeysFault(keys))
  if (fault) return fault
  if (detectionMs !== undefined && !(typeof detectionMs === 'number' && detectionMs > 0))
    return 'detectionMs must be positive'
  if (agent !== undefined && !isProcess(agent)) return 'agent must have pid and startTime'
  if (armed !== undefined && typeof armed !== 'boolean') return 'armed must be true or false'
  return value as GuardianUpdate
}
