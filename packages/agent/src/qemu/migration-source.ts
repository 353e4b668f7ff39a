/**
 * The end of a migration that has the guest and lets it go. The order of the steps, and what QEMU was seen to do when
 * one of them fails, is in docs/internals/migration.md.
 */
import { failure } from '@stead/core/errors.ts'
import type {
  ArrivalEndpoint,
  MigrationLimits,
  MigrationProgress,
  RestEndpoint,
  SentGuest,
} from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { DiskRecord } from './block-graph.ts'
import { useKey, type KeyOptions } from './migration-key.ts'
import { isOutgoing, progressOf, type QemuMigration } from './migration-progress.ts'
import { writesImage } from './memory-image-settings.ts'
import { STRICT_DOWNTIME, capabilities, migrationUri, sourceParameters } from './migration-settings.ts'
import { awaitMigration } from './migration-waiting.ts'
import { queryGraph, yankNode } from './mirror-surgery.ts'
import type { QmpClient } from './qmp.ts'

/** QEMU calls an end of a migration within milliseconds, also where the destination does not answer. */
const CANCEL_TIMEOUT_MS = 10_000
/** A guest whose last part has not moved for so long will not arrive. */
const STALL_TIMEOUT_MS = 20_000

export interface MigrationSourceOptions extends KeyOptions {
  readonly disks: () => readonly DiskRecord[]
  /** Fails while QEMU does not answer. */
  readonly monitor: () => Result<QmpClient>
}

export class MigrationSource {
  readonly #options: MigrationSourceOptions
  #relinquished = false
  #postCopyRefusal: string | undefined
  /** What the guest may stand still once it has shown that it cannot do with less, ms. */
  #downtimeMs = 0

  constructor(options: MigrationSourceOptions) {
    this.#options = options
  }

  /** Its disks are given up: this guest may not run here any more, not even for a moment. */
  get relinquished(): boolean {
    return this.#relinquished
  }

  async send(to: ArrivalEndpoint, limits: MigrationLimits): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const before = await query(monitor.value)
    if (!before.ok) return before
    if (isOutgoing(before.value) && !(before.value.status === 'completed' && (await writesImage(monitor.value))))
      return fail(failure('conflict', 'The guest is already on its way to a host'))
    const keyed = await useKey(monitor.value, this.#options, 'client', to.secret)
    if (!keyed.ok) return keyed
    this.#downtimeMs = limits.downtimeMs
    this.#postCopyRefusal = limits.postCopy ? to.postCopyRefusal : 'it was not asked for when the copy began'
    const postCopy = this.#postCopyRefusal === undefined
    const set = { channels: to.channels ?? 0, postCopy, end: 'source' } as const
    for (const [command, args] of [
      ['migrate-set-capabilities', capabilities(set)],
      ['migrate-set-parameters', sourceParameters(limits, to)],
      ['migrate', { uri: migrationUri(to.address, to.port) }],
    ] as const) {
      const done = await monitor.value.execute(command, args)
      if (!done.ok) return done
    }
    return ok()
  }

  async awaitStandstill(signal: AbortSignal): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    return awaitMigration(
      monitor.value,
      async () => {
        const found = await query(monitor.value)
        if (!found.ok) return found
        const { phase, error, passes } = progressOf(found.value)
        if (phase === 'standing-still') return ok()
        if (phase === 'copying' && passes > STRICT_DOWNTIME.passes && this.#downtimeMs > STRICT_DOWNTIME.ms) {
          const allowed = await monitor.value.execute('migrate-set-parameters', { 'downtime-limit': this.#downtimeMs })
          if (!allowed.ok) return allowed
          this.#downtimeMs = 0
        }
        if (phase === 'setup' || phase === 'copying') return 'waiting'
        return fail(failure('hypervisor', `The guest does not come to the switch: ${error ?? phase}`))
      },
      Number.POSITIVE_INFINITY,
      signal,
    )
  }

  async progress(): Promise<Result<MigrationProgress>> {
    const found = await this.#query()
    return found.ok ? ok(progressOf(found.value)) : found
  }

  /** For `RunningGuest`: undefined while the guest is on no way out. */
  async sending(): Promise<MigrationProgress['phase'] | undefined> {
    const monitor = this.#options.monitor()
    const found = monitor.ok ? await query(monitor.value) : monitor
    if (!monitor.ok || !found.ok || !isOutgoing(found.value) || (await writesImage(monitor.value))) return undefined
    return progressOf(found.value).phase
  }

  async startPostCopy(): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    if (this.#postCopyRefusal !== undefined)
      return fail(failure('conflict', `Post-copy cannot be done: ${this.#postCopyRefusal}`))
    const started = await monitor.value.execute('migrate-start-postcopy')
    return started.ok ? ok() : started
  }

  async relinquishDisks(): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const status = await monitor.value.execute<{ readonly running: boolean }>('query-status')
    if (!status.ok) return status
    if (status.value.running) return fail(failure('conflict', 'The guest runs; it would lose its disks'))
    this.#relinquished = true
    const nodes = this.#options.disks().flatMap((disk) => disk.legs.map(({ node }) => node))
    const replies = await Promise.all(nodes.map((node) => yankNode(monitor.value, node)))
    const failed = nodes.filter((_, index) => replies[index]?.ok === false)
    if (failed.length === 0) return ok()
    // One that was planned and never opened has no connection; all others must be dead.
    const graph = await queryGraph(monitor.value)
    if (!graph.ok) return graph
    const alive = graph.value.nodes.find(({ name }) => failed.includes(name))
    return alive ? fail(failure('hypervisor', `The leg ${alive.name} could not be given up`)) : ok()
  }

  async complete(): Promise<Result<SentGuest>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const goOn = await monitor.value.execute('migrate-continue', { state: 'pre-switchover' })
    return goOn.ok ? this.awaitSent() : goOn
  }

  /** Also of a guest that an earlier agent let go. */
  async awaitSent(): Promise<Result<SentGuest>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    let last = ''
    return awaitMigration(
      monitor.value,
      async () => {
        const found = await query(monitor.value)
        if (!found.ok) return found
        const progress = progressOf(found.value)
        if (progress.phase === 'completed' || progress.phase === 'interrupted')
          return ok({ ...progress, downtimeMs: found.value.downtime ?? 0 })
        if (progress.phase === 'failed' || progress.phase === 'none')
          return fail(failure('hypervisor', `The guest did not get across: ${progress.error ?? 'nothing was sent'}`))
        const now = `${progress.phase} ${progress.transferredBytes}`
        const moved = now !== last
        last = now
        // The guest is there already; how long the rest takes is the link's business, and a broken one is noticed.
        return moved || progress.phase === 'post-copy' ? 'moved' : 'waiting'
      },
      STALL_TIMEOUT_MS,
    )
  }

  /** With the key that this QEMU has had from the beginning. */
  async resume({ address, port }: RestEndpoint): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const asked = await monitor.value.execute('migrate', { uri: migrationUri(address, port), resume: true })
    return asked.ok ? ok() : asked
  }

  async cancel(): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const found = await query(monitor.value)
    if (!found.ok) return found
    const { status } = found.value
    // Of an image nobody else lives: it is simply not finished, or is there and of no more use.
    if (status === 'completed' && (await writesImage(monitor.value))) return ok()
    const isOutOfReach = this.#relinquished || status === 'device' || status?.startsWith('postcopy-')
    if (isOutgoing(found.value) && (isOutOfReach || status === 'completed'))
      return fail(failure('conflict', 'The guest has been let go; it cannot be called back'))
    if (isOutgoing(found.value)) {
      const asked = await monitor.value.execute('migrate_cancel')
      if (!asked.ok) return asked
    }
    // The guest that stood still for the switch goes on a moment after the migration has ended.
    return awaitMigration(monitor.value, () => isOver(monitor.value), CANCEL_TIMEOUT_MS)
  }

  async #query(): Promise<Result<QemuMigration>> {
    const monitor = this.#options.monitor()
    return monitor.ok ? query(monitor.value) : monitor
  }
}

async function isOver(monitor: QmpClient): Promise<Result<void> | 'waiting'> {
  const found = await query(monitor)
  if (!found.ok) return found
  if (isOutgoing(found.value)) return 'waiting'
  const status = await monitor.execute<{ readonly status: string }>('query-status')
  if (!status.ok) return status
  return status.value.status === 'finish-migrate' ? 'waiting' : ok()
}

export function query(monitor: QmpClient): Promise<Result<QemuMigration>> {
  return monitor.execute<QemuMigration>('query-migrate')
}
