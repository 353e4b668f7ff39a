/** QEMU's `query-migrate` as the port tells it. Pure. */
import type { MigrationProgress } from '@stead/core/ports/guest-migration.ts'

/** What is read of the answer. The same command speaks of the way out and of the way in: see `isOutgoing`. */
export interface QemuMigration {
  readonly status?: string
  readonly 'error-desc'?: string
  /** ms; only of the way out. */
  readonly 'total-time'?: number
  /** ms; once completed. */
  readonly downtime?: number
  /** ms. */
  readonly 'expected-downtime'?: number
  /** Percent. */
  readonly 'cpu-throttle-percentage'?: number
  readonly ram?: {
    readonly total: number
    readonly transferred: number
    readonly remaining: number
    /** Megabits a second. */
    readonly mbps?: number
    readonly 'dirty-pages-rate'?: number
    readonly 'page-size'?: number
    readonly 'dirty-sync-count'?: number
  }
  readonly 'socket-address'?: readonly { readonly type: string; readonly host?: string; readonly port?: string }[]
}

const PHASES: Readonly<Record<string, MigrationProgress['phase']>> = {
  none: 'none',
  setup: 'setup',
  'wait-unplug': 'setup',
  active: 'copying',
  'pre-switchover': 'standing-still',
  device: 'standing-still',
  'postcopy-active': 'post-copy',
  'postcopy-recover-setup': 'post-copy',
  'postcopy-recover': 'post-copy',
  'postcopy-paused': 'interrupted',
  completed: 'completed',
}

/** Outgoing migrations that have come to nothing and left the guest as it was. */
const OVER = new Set([undefined, 'none', 'failed', 'cancelled'])

/** False of a QEMU that sends nothing; also of one that only receives: its answer has no figures. */
export function isOutgoing(migration: QemuMigration): boolean {
  return !OVER.has(migration.status) && (migration.ram !== undefined || migration.status === 'setup')
}

export function progressOf(migration: QemuMigration): MigrationProgress {
  const { ram } = migration
  const { phase, error } = phaseOf(migration)
  return {
    phase,
    totalBytes: ram?.total ?? 0,
    transferredBytes: ram?.transferred ?? 0,
    remainingBytes: ram?.remaining ?? 0,
    dirtyBytesPerSecond: (ram?.['dirty-pages-rate'] ?? 0) * (ram?.['page-size'] ?? 0),
    bandwidthBytesPerSecond: Math.round((ram?.mbps ?? 0) * 125_000),
    throttlePercent: migration['cpu-throttle-percentage'] ?? 0,
    expectedDowntimeMs: migration['expected-downtime'] ?? 0,
    passes: ram?.['dirty-sync-count'] ?? 0,
    ...(error === undefined ? {} : { error }),
  }
}

function phaseOf(migration: QemuMigration): Pick<MigrationProgress, 'phase' | 'error'> {
  const { status = 'none', 'error-desc': reason } = migration
  if (status === 'cancelling' || status === 'cancelled')
    return { phase: 'failed', error: 'The migration was cancelled' }
  if (status !== 'failed' && !isOutgoing(migration)) return { phase: 'none' }
  // QEMU notes a broken connection while the guest stands still, and waits on as if nothing had happened.
  if (status === 'pre-switchover' && reason !== undefined) return { phase: 'failed', error: reason }
  const phase = PHASES[status]
  if (phase !== undefined) return { phase }
  return { phase: 'failed', error: reason ?? `QEMU says ${status}` }
}
