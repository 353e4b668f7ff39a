/**
 * A daemon that belongs to the agent but outlives it (etcd, the guardian, the deadman): started when it is not
 * there, adopted when it is, started again when it ends. Its end is polled, because an adopted process is not a
 * child and no event tells.
 */
import { existsSync, renameSync, statSync } from 'node:fs'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import {
  isAlive,
  killDetached,
  readPidFile,
  signal as sendSignal,
  startDetached,
  waitGone,
  type DetachedProcess,
  type DetachedSpec,
} from './detached.ts'

/** Whoever loses a connection to the daemon asks for a look at once (`look`); this is for the others. */
const POLL_MS = 1_000
const END_MS = 5_000
const CLOSE_POLL_MS = 20
const CLOSELY_FOR_MS = 500
const LOG_BYTES_MAX = 8 << 20
/** A daemon that ends at once is not started in a tight loop. */
const PAUSES_MS = [0, 200, 500, 1_000, 2_000] as const
const STABLE_MS = 10_000

export interface CompanionOptions {
  readonly name: string
  readonly helper: string
  /** Made anew for each start, since some arguments change (a store that joins for the first time, or again). */
  readonly spec: () => DetachedSpec | Promise<DetachedSpec>
  readonly clock: Clock
  readonly log: Log
  readonly onRestart?: (previous: DetachedProcess) => void
}

export class Companion {
  readonly #options: CompanionOptions
  readonly #rest: WakeableSleep
  #process: DetachedProcess | undefined
  #pidFile = ''
  #startedMs = 0
  #quickEnds = 0
  #closelyUntilMs = -Infinity

  constructor(options: CompanionOptions) {
    this.#options = options
    this.#rest = new WakeableSleep(options.clock)
  }

  get process(): DetachedProcess | undefined {
    return this.#process && isAlive(this.#process) ? this.#process : undefined
  }

  /** Keeps it running until aborted; then leaves it running. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#process || !isAlive(this.#process)) await this.#startOrAdopt(signal)
      const { clock } = this.#options
      await this.#rest.sleep(clock.monotonicMs() < this.#closelyUntilMs ? CLOSE_POLL_MS : POLL_MS, signal)
    }
  }

  /** Something points to its end: it is looked at now and closely for a moment, since a process ends in steps. */
  look(): void {
    this.#closelyUntilMs = this.#options.clock.monotonicMs() + CLOSELY_FOR_MS
    this.#rest.wake()
  }

  async kill(): Promise<void> {
    // Not asked of `spec`: making one prepares a start, and what it prepares (a store that is forced) is used once.
    if (this.#process) await killDetached(this.#process, this.#pidFile)
  }

  /** The same, given some time to end in order. */
  async end(): Promise<void> {
    if (!this.#process) return
    sendSignal(this.#process, 'SIGTERM')
    if (!(await waitGone(this.#process, END_MS))) await this.kill()
  }

  async #startOrAdopt(signal: AbortSignal): Promise<void> {
    const { name, helper, clock, log, onRestart } = this.#options
    const spec = await this.#options.spec()
    this.#pidFile = spec.pidFile
    const previous = this.#process
    const adopted = previous ? undefined : readPidFile(spec.pidFile)
    if (adopted) {
      log.info('adopted', { daemon: name, pid: adopted.pid })
      this.#process = adopted
      this.#startedMs = clock.monotonicMs()
      return
    }
    if (previous) {
      this.#quickEnds = clock.monotonicMs() - this.#startedMs < STABLE_MS ? this.#quickEnds + 1 : 0
      log.warn('ended; it is started again', { daemon: name, pid: previous.pid })
      onRestart?.(previous)
    }
    await clock.sleep(PAUSES_MS[Math.min(this.#quickEnds, PAUSES_MS.length - 1)] ?? 2_000, signal)
    if (signal.aborted) return
    rotate(spec.stderrPath)
    const started = await startDetached(helper, spec)
    this.#startedMs = clock.monotonicMs()
    if (started.ok) {
      this.#process = started.value
      log.info('started', { daemon: name, pid: started.value.pid })
    } else {
      this.#quickEnds += 1
      log.error('could not be started', { daemon: name, cause: started.error })
      await clock.sleep(1_000, signal)
    }
  }
}

function rotate(path: string): void {
  if (existsSync(path) && statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`)
}
