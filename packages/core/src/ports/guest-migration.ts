/**
 * Port: moving a running guest's memory from one host to another. The real implementation drives QEMU's migration. It
 * decides nothing: whose the guest is, is said by the grant, and only `GuestRun` and `Arrival` know when which step may
 * be taken (docs/internals/migration.md).
 */
import type { GuestId } from '../model/ids.ts'
import type { Result } from '../result.ts'
import type { GuestLaunch, RunningGuest } from './guest-host.ts'

/** Where a waiting QEMU listens, and the key that both ends must have. */
export interface ArrivalEndpoint {
  readonly address: string
  readonly port: number
  /** Pre-shared key of the TLS connection, 64 hexadecimal digits, used once. Never written into a record or a log. */
  readonly secret: string
  /** Streams beside the main one; the destination has chosen. None when absent. */
  readonly channels?: number
  /** These streams are compressed. */
  readonly compressed?: true
  /** Why it cannot go on before all of its memory is there; absent: it can. */
  readonly postCopyRefusal?: string
}

export interface MigrationLimits {
  /** What the memory's stream may take; 0: as much as there is. */
  readonly bandwidthBytesPerSecond: number
  /** How long the guest may stand still by what QEMU forecasts. */
  readonly downtimeMs: number
  /** Let the guest go on at the destination before all of its memory is there, when it does not converge otherwise. */
  readonly postCopy: boolean
}

export interface MigrationProgress {
  /** `interrupted`: in post-copy the two have lost each other; the source holds the rest and waits. */
  readonly phase: 'setup' | 'copying' | 'standing-still' | 'post-copy' | 'interrupted' | 'completed' | 'failed' | 'none'
  readonly totalBytes: number
  readonly transferredBytes: number
  readonly remainingBytes: number
  /** How much memory the guest changes in a second; 0 while unknown. */
  readonly dirtyBytesPerSecond: number
  readonly bandwidthBytesPerSecond: number
  /** How far the guest's processors are slowed down so that the copy converges, percent. */
  readonly throttlePercent: number
  /** How long it will stand still, by QEMU's own forecast. */
  readonly expectedDowntimeMs: number
  /** How many times the memory was gone through. */
  readonly passes: number
  readonly error?: string
}

export type SentGuest = MigrationProgress & { readonly downtimeMs: number }
/** Of a guest that runs while its memory follows it; `interrupted`: nothing comes, since the two have lost each other. */
export type MemoryState = 'here' | 'coming' | 'interrupted'
export type RestEndpoint = Pick<ArrivalEndpoint, 'address' | 'port'>

export interface GuestMigration {
  /**
   * Destination: starts a QEMU that waits for the guest at a free port of `address`. Its disks are open and untouched
   * until the guest has arrived. A failure leaves nothing behind. `postCopy`: only then `send` can ask for it.
   */
  receive(
    launch: GuestLaunch,
    at: {
      readonly address: string
      readonly secret: string
      readonly postCopy?: boolean
      readonly compressed?: boolean
    },
  ): Promise<Result<ArrivalEndpoint>>
  /** Destination: resolves once the guest runs here (or stands still after an error of a disk); fails when it never will. */
  awaitArrival(guest: GuestId, timeoutMs: number): Promise<Result<RunningGuest>>
  /** Source: what the guest runs with now, hot-plugged parts included: the destination's machine must be the same. */
  launchOf(guest: GuestId): Promise<Result<GuestLaunch>>
  /**
   * Source: begins to copy the memory; the guest runs on. When nearly all is there, QEMU stops the guest, waits for its
   * disks and flushes them, and stands still until `complete` or `cancel`.
   */
  send(guest: GuestId, to: ArrivalEndpoint, limits: MigrationLimits): Promise<Result<void>>
  /**
   * Source: resolves in the moment in which the guest stands still at the switch, its disks flushed; fails when the copy
   * has failed or `signal` was aborted, which ends only the waiting.
   */
  awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>>
  /** Source. `none` when no migration was begun since the start of QEMU. */
  progress(guest: GuestId): Promise<Result<MigrationProgress>>
  /**
   * Source: the guest comes to stand still for the switch as soon as it can, and after `complete` the memory that is
   * still missing follows it. Until then it can be called back. Refused, with the reason, where the destination's kernel
   * does not allow it; the copy then goes on as before.
   */
  startPostCopy(guest: GuestId): Promise<Result<void>>
  /** Source: breaks the connection of every leg for good, so that this QEMU can never write again. The guest must stand still. */
  relinquishDisks(guest: GuestId): Promise<Result<void>>
  /**
   * Source: lets the guest go. Resolves when the destination has all of it, with the figures; then QEMU is to be killed.
   * After a switch to post-copy it resolves too when the two have lost each other: `phase` is `interrupted` then.
   */
  complete(guest: GuestId): Promise<Result<SentGuest>>
  /** Source: `complete` without letting go: of a guest that was let go before, by an earlier agent too. */
  awaitSent(guest: GuestId): Promise<Result<SentGuest>>
  /** Destination, interrupted or not: listens for the source once more, at a free port of `address`, with the same key. */
  receiveRest(guest: GuestId, address: string): Promise<Result<RestEndpoint>>
  /** Source, interrupted: goes on sending to where `receiveRest` listens. */
  resume(guest: GuestId, to: RestEndpoint): Promise<Result<void>>
  /** Destination, of a guest that runs here: how it is with its memory, once that is another word than `known`. */
  awaitMemory(guest: GuestId, known: 'coming' | 'interrupted', signal: AbortSignal): Promise<Result<MemoryState>>
  /** Source: stops copying; the guest runs on here. Harmless when nothing is under way; impossible after `complete`. */
  cancel(guest: GuestId): Promise<Result<void>>
}
