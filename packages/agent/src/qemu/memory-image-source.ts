/** A running guest's QEMU that writes its memory into images: what is said to it, and what it is waited for. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { forcedAfterBytes, imageCommands } from './memory-image-settings.ts'
import { isOutgoing, progressOf } from './migration-progress.ts'
import { STRICT_DOWNTIME } from './migration-settings.ts'
import { query } from './migration-source.ts'
import { awaitMigration } from './migration-waiting.ts'
import type { QmpClient } from './qmp.ts'

/** Once the guest has shown that it cannot do with less. */
const DOWNTIME_MS = 300
/** Nothing was written for so long: a host or a disk does not take it any more. */
const COPY_STALL_MS = 20_000
/** The same while the guest stands still. */
const STANDSTILL_STALL_MS = 3_000
const CANCEL_TIMEOUT_MS = 10_000

export class MemoryImageSource {
  readonly #monitor: QmpClient
  readonly #memoryBytes: number

  constructor(monitor: QmpClient, memoryBytes: number) {
    this.#monitor = monitor
    this.#memoryBytes = memoryBytes
  }

  /** Somebody listens at the socket. The guest must run. */
  async begin(socketPath: string): Promise<Result<void>> {
    const status = await this.#runState()
    if (!status.ok) return status
    if (status.value !== 'running')
      return fail(failure('conflict', 'the guest stands still', { hint: 'Try again when it goes on' }))
    for (const [command, args] of imageCommands(socketPath)) {
      const done = await this.#monitor.execute(command, args)
      if (!done.ok) return done
    }
    return ok()
  }

  async awaitStandstill(signal: AbortSignal): Promise<Result<void>> {
    let last = ''
    let isLenient = false
    let isForced = false
    return awaitMigration(
      this.#monitor,
      async () => {
        const found = await query(this.#monitor)
        if (!found.ok) return found
        const { phase, error, passes, transferredBytes } = progressOf(found.value)
        if (phase === 'standing-still') return ok()
        if (phase !== 'setup' && phase !== 'copying')
          return fail(failure('hypervisor', `The memory cannot be written: ${error ?? phase}`))
        if (!isLenient && passes > STRICT_DOWNTIME.passes) {
          isLenient = true
          const allowed = await this.#monitor.execute('migrate-set-parameters', { 'downtime-limit': DOWNTIME_MS })
          if (!allowed.ok) return allowed
        }
        if (!isForced && transferredBytes > forcedAfterBytes(this.#memoryBytes)) {
          isForced = true
          const stopped = await this.#monitor.execute('stop')
          if (!stopped.ok) return stopped
        }
        const now = `${phase} ${transferredBytes}`
        const moved = now !== last
        last = now
        return moved ? 'moved' : 'waiting'
      },
      COPY_STALL_MS,
      signal,
    )
  }

  /** The rest. The guest stands still afterwards, until `cont`. */
  async complete(): Promise<Result<void>> {
    const goOn = await this.#monitor.execute('migrate-continue', { state: 'pre-switchover' })
    if (!goOn.ok) return goOn
    let last = ''
    return awaitMigration(
      this.#monitor,
      async () => {
        const found = await query(this.#monitor)
        if (!found.ok) return found
        const { phase, error, transferredBytes } = progressOf(found.value)
        if (phase === 'completed') return this.#mayGoOn()
        if (phase !== 'standing-still' && phase !== 'copying')
          return fail(failure('hypervisor', `The memory could not be written: ${error ?? phase}`))
        const moved = String(transferredBytes) !== last
        last = String(transferredBytes)
        return moved ? 'moved' : 'waiting'
      },
      STANDSTILL_STALL_MS,
    )
  }

  /** Nobody reads any more. The guest runs on, unless it was an error of a disk that has stopped it. */
  async abandon(): Promise<Result<void>> {
    const found = await query(this.#monitor)
    if (!found.ok) return found
    if (isOutgoing(found.value) && found.value.status !== 'completed') {
      const asked = await this.#monitor.execute('migrate_cancel')
      if (!asked.ok) return asked
    }
    return awaitMigration(this.#monitor, () => this.#goneOn(), CANCEL_TIMEOUT_MS)
  }

  async #goneOn(): Promise<Result<void> | 'waiting'> {
    const [found, status] = [await query(this.#monitor), await this.#runState()]
    if (!found.ok) return found
    if (!status.ok) return status
    if (isOutgoing(found.value) && found.value.status !== 'completed') return 'waiting'
    if (status.value === 'finish-migrate') return 'waiting'
    if (status.value !== 'paused' && status.value !== 'postmigrate') return ok()
    const resumed = await this.#monitor.execute('cont')
    return resumed.ok ? ok() : resumed
  }

  /** A moment after all is written: QEMU 10.0 refuses `cont` until then ("Migration is not finalized yet"). */
  async #mayGoOn(): Promise<Result<void> | 'waiting'> {
    const status = await this.#runState()
    if (!status.ok) return status
    return status.value === 'finish-migrate' ? 'waiting' : ok()
  }

  async #runState(): Promise<Result<string>> {
    const reply = await this.#monitor.execute<{ readonly status: string }>('query-status')
    return reply.ok ? ok(reply.value.status) : reply
  }
}
