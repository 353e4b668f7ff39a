/**
 * The port `LegWatch`: reads 512 bytes of a storage daemon's `probe` export a few times a second, over the path that
 * the legs themselves use. One connection per server, however many legs it has.
 */
import type { Failure } from '@stead/core/errors.ts'
import type { LegHealth, LegWatch } from '@stead/core/ports/leg-watch.ts'
import type { Result } from '@stead/core/result.ts'
import { NbdClient } from '../nbd/nbd-client.ts'
import type { NbdEndpoint } from '../nbd/nbd-socket.ts'
import { PROBE_EXPORT } from './storage-daemon.ts'

export interface LegProbeOptions {
  readonly intervalMs?: number
  /** Silence of this length is `unresponsive`. */
  readonly limitMs?: number
}

type Listener = (health: LegHealth) => void

const PROBE_BYTES = 512
/** Together they bound how long a frozen server goes unnoticed: 1.3 s. A killed one is noticed by the guest's own writes. */
const INTERVAL_MS = 500
const LIMIT_MS = 800
/** A timer that is this late tells of our own standstill, not of the server's. */
const OWN_STANDSTILL_MS = 100
/** After the limit what the kernel may already hold is still read. */
const GRACE_MS = 20

export class LegProbe implements LegWatch {
  readonly #intervalMs: number
  readonly #limitMs: number
  readonly #probes = new Map<string, ServerProbe>()

  constructor(options: LegProbeOptions = {}) {
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS
    this.#limitMs = options.limitMs ?? LIMIT_MS
  }

  watch(endpoint: NbdEndpoint, onChange: Listener): () => void {
    const key = endpoint.kind === 'unix' ? `unix:${endpoint.path}` : `${endpoint.address}:${endpoint.port}`
    let probe = this.#probes.get(key)
    if (!probe) {
      probe = new ServerProbe(endpoint, this.#intervalMs, this.#limitMs)
      this.#probes.set(key, probe)
    }
    const shared = probe
    // An entry of its own for each watch, even when two pass the same function.
    const listener: Listener = (health) => onChange(health)
    shared.add(listener)
    return () => {
      if (shared.remove(listener)) return
      shared.stop()
      if (this.#probes.get(key) === shared) this.#probes.delete(key)
    }
  }

  async ask(endpoint: NbdEndpoint, limitMs: number): Promise<LegHealth> {
    const late = new AbortController()
    const silence = new Promise<LegHealth>((resolve) => {
      const timer = setTimeout(() => resolve('unresponsive'), limitMs)
      late.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
    })
    const connecting = NbdClient.connect({ endpoint, exportName: PROBE_EXPORT, timeoutMs: limitMs * 2 })
    const asking = connecting.then(async (client) => {
      if (!client.ok) return healthOf(client)
      return healthOf(await client.value.read(0, PROBE_BYTES))
    })
    const health = await Promise.race([asking, silence])
    late.abort()
    void connecting.then((client) => client.ok && client.value.destroy('it was asked once'))
    return health
  }
}

/** A failure as it looks from a leg. */
function healthOf(asked: Result<unknown>): LegHealth {
  return asked.ok ? 'alive' : isSilence(asked.error) ? 'unresponsive' : 'refused'
}

class ServerProbe {
  readonly #endpoint: NbdEndpoint
  readonly #intervalMs: number
  readonly #limitMs: number
  readonly #listeners = new Set<Listener>()
  #stopped = false
  #wake: () => void = () => undefined
  #health: LegHealth | undefined
  #client: NbdClient | undefined

  constructor(endpoint: NbdEndpoint, intervalMs: number, limitMs: number) {
    this.#endpoint = endpoint
    this.#intervalMs = intervalMs
    this.#limitMs = limitMs
    void this.#run()
  }

  add(listener: Listener): void {
    this.#listeners.add(listener)
    const health = this.#health
    if (health) queueMicrotask(() => this.#listeners.has(listener) && listener(health))
  }

  /** True while others still listen. */
  remove(listener: Listener): boolean {
    this.#listeners.delete(listener)
    return this.#listeners.size > 0
  }

  stop(): void {
    this.#stopped = true
    this.#wake()
    this.#client?.destroy('nobody watches any more')
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const before = this.#client
      const health = await this.#ask()
      if (this.#stopped) return
      this.#tell(health, before !== undefined && this.#client !== before)
      if (health !== 'alive') {
        this.#client?.destroy('the probe was not answered')
        this.#client = undefined
      }
      await this.#pause()
    }
  }

  /** One question. A connection that has just broken is tried again at once. */
  async #ask(): Promise<LegHealth> {
    const client = this.#client
    if (client && !client.closed) {
      const answered = await this.#inTime(client.read(0, PROBE_BYTES))
      if (answered === undefined) return 'unresponsive'
      if (answered.ok) return 'alive'
      this.#client = undefined
    }
    // Its own timeout only ends the attempt some time after we have stopped waiting for it.
    const connecting = NbdClient.connect({
      endpoint: this.#endpoint,
      exportName: PROBE_EXPORT,
      timeoutMs: this.#limitMs * 3,
    })
    const connected = await this.#inTime(connecting)
    if (connected === undefined) {
      void connecting.then((late) => late.ok && late.value.destroy('too late'))
      return 'unresponsive'
    }
    if (!connected.ok) return isSilence(connected.error) ? 'unresponsive' : 'refused'
    this.#client = connected.value
    if (this.#stopped) connected.value.destroy('nobody watches any more')
    return 'alive'
  }

  /** Undefined when nothing came for the limit while this process itself was awake. */
  #inTime<T>(answer: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout
      const wait = (ms: number, onTime: () => void) => {
        const due = performance.now() + ms
        timer = setTimeout(() => {
          if (performance.now() - due > OWN_STANDSTILL_MS) wait(this.#limitMs / 2, onTime)
          else onTime()
        }, ms)
      }
      wait(Math.max(1, this.#limitMs - GRACE_MS), () => wait(GRACE_MS, () => resolve(undefined)))
      answer.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  #tell(health: LegHealth, isRenewed: boolean): void {
    if (health === this.#health && !isRenewed) return
    this.#health = health
    for (const listener of [...this.#listeners]) listener(health)
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#intervalMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** No route and no answer look alike to a guest's leg: both may come back. */
function isSilence(error: Failure): boolean {
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code
  return code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'EHOSTDOWN'
}
