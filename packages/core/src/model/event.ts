/** Kinds are stable and documented in docs/operating/events.md; each names what happened, not what follows. */
export const EVENT_KINDS = [
  'cluster.created',
  'cluster.key-changed',
  'cluster.recovered',
  'authority.replacing',
  'authority.replaced',
  'certificate.given',
  'certificate.failed',
  'certificate.revoked',
  'coordinator.elected',
  'host.admitted',
  'host.removed',
  'host.left-behind',
  'host.joined',
  'host.online',
  'host.suspected',
  'host.cleared',
  'host.lost',
  'host.confirmed-dead',
  'host.fenced-itself',
  'host.power-cut',
  'host.power-restored',
  'host.maintenance',
  'host.shutdown',
  'host.changed',
  'bond.degraded',
  'bond.restored',
  'guest.created',
  'guest.deleted',
  'guest.started',
  'guest.stopped',
  'guest.exited',
  'guest.paused',
  'guest.resumed',
  'guest.ready',
  'guest.unready',
  'guest.waiting',
  'guest.failed',
  'guest.migrated',
  'guest.migration-failed',
  'guest.watchdog',
  'guest.changed',
  'guest.limit-reached',
  'guest.dumped',
  'grant.committed',
  'grant.released',
  'export.revoked',
  'leg.redirected',
  'leg.direct',
  'replica.stale',
  'replica.in-sync',
  'replica.moving',
  'replica.moved',
  'replica.move-failed',
  'root-copy.late',
  'root-copy.current',
  'resync.started',
  'resync.finished',
  'resync.failed',
  'snapshot.created',
  'snapshot.failed',
  'snapshot.deleted',
  'snapshot.rolled-back',
  'image.imported',
  'image.import-failed',
  'data-loss.accepted',
  'schedule.run',
  'schedule.skipped',
  'rule.created',
  'rule.changed',
  'rule.deleted',
  'policy.changed',
  'ha.disarmed',
  'ha.armed',
  'storage.busy',
  'storage.calm',
  'daemon.restarted',
] as const
export type EventKind = (typeof EVENT_KINDS)[number]

export interface ClusterEvent {
  /** Unique and growing per reporting host. */
  readonly id: string
  /** ISO 8601, UTC, from the reporting host's wall clock. */
  readonly time: string
  /** The reporting host's monotonic clock, ms; comparable between events of one host (and within a lab). */
  readonly monotonicMs: number
  readonly kind: EventKind
  /** `host/h1`, `guest/web1`, `volume/<id>`, `rule/<name>` or `cluster`. */
  readonly subject: string
  /** Whose the subject was; absent where it is no project's. */
  readonly project?: string
  readonly message: string
  /** Who reports. */
  readonly host: string
  readonly details?: Readonly<Record<string, string | number | boolean>>
}
