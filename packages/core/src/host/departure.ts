/**
 * The source's side of one live move, from the hand-over in the grant to the moment in which the guest is the other
 * host's. Until that transaction every failure ends with the guest running on here; after it the guest can never go on
 * here again. docs/internals/migration.md tells why in this order.
 */
import { failure, type Failure } from '../errors.ts'
import type { Versioned } from '../model/cluster.ts'
import type { Grant, Handover } from '../model/grant.ts'
import type { Guest, GuestObservation, MigrationReport } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { inSync } from '../model/records.ts'
import type { MigrationProgress } from '../ports/guest-migration.ts'
import type { StoreEntry, Transaction } from '../ports/store.ts'
import { fail, type Result } from '../result.ts'
import { migrationPolicyOf } from '../ha/planning-problem.ts'
import { FIRST_STEPS_MS, type PreparedArrival } from './arrivals.ts'
import type { DiskKeeper } from './disk-keeper.ts'
import { guestAfterMove, takeBackHandover, versioned } from './handover-records.ts'
import type { HostContext } from './host-context.ts'
import { hasGoneThrough, isOutrun, isStuck, reportOf, whyStuck } from './copy-convergence.ts'
import { mayPostCopy, sendRest } from './memory-rest.ts'
import { exportRevoked } from './storage-events.ts'

export type DepartureOutcome =
  /** The other host's now; what is left of it here is to be killed. */
  | { readonly kind: 'gone' }
  /** It runs on here, and the hand-over is taken out of the grant. */
  | { readonly kind: 'stays' }
  /** It should run on here, but its hypervisor does not answer. */
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'deposed' }

export interface DepartureOptions {
  readonly context: HostContext
  readonly guest: Guest
  readonly grant: Grant
  readonly handover: Handover
  readonly disks: DiskKeeper
  /** Tells how far it has come; undefined when it is over. */
  readonly onProgress: (report: MigrationReport | undefined) => void
}

const RETRY_MS = 50
const PROGRESS_MS = 250
const REPORT_MS = 1_000
const CONSOLE_MS_MAX = 200

type Transfer =
  | { readonly kind: 'committed' }
  | { readonly kind: 'deposed' }
  | { readonly kind: 'refused'; reason: string }

export class Departure {
  readonly #options: DepartureOptions
  readonly #calledOff = new AbortController()
  #reason = ''
  /** The transaction is under way or done: nobody can call it off any more. */
  #isDeciding = false
  #dropped = false
  /** Why it cannot be. */
  #postCopyRefused = ''
  /**
   * When the guest goes on there, the rest of its memory may still be here. Said wrongly (QEMU has refused, or was done
   * already) it does no harm: the destination finds that it has all.
   */
  #isPostCopy = false
  /** How much of its console's log is there. */
  #carried: Promise<Result<number>> | undefined
  #ended: () => void = () => undefined
  readonly #over = new Promise<void>((resolve) => (this.#ended = resolve))

  constructor(options: DepartureOptions) {
    this.#options = options
  }

  /** Resolves once the guest runs on here, or is the other host's: whichever comes first. */
  callOff(reason: string): Promise<void> {
    if (!this.#isDeciding && this.#reason === '') {
      this.#reason = reason
      this.#calledOff.abort(reason)
    }
    return this.#over
  }

  /** This host has lost the guest to a newer grant: nothing of it is to be let go on. */
  drop(): void {
    this.#dropped = true
    this.#calledOff.abort('deposed')
  }

  async run(): Promise<DepartureOutcome> {
    const startedMs = this.#options.context.clock.monotonicMs()
    try {
      const copied = await this.#copy()
      if (!copied.ok) return await this.#stay(copied.error)
      this.#isDeciding = !this.#calledOff.signal.aborted
      if (!this.#isDeciding) return await this.#stay(failure('conflict', this.#reason))
      const carried = this.#carryRest()
      const transfer = await this.#transfer(copied.value)
      if (transfer.kind === 'deposed') return { kind: 'deposed' }
      if (transfer.kind === 'refused') return await this.#stay(failure('conflict', transfer.reason))
      await this.#letGo(startedMs, carried)
      await this.#options.context.clock.sleep(FIRST_STEPS_MS)
      return { kind: 'gone' }
    } finally {
      this.#options.onProgress(undefined)
      this.#ended()
    }
  }

  /** Until the guest stands still here with its disks flushed, and all but the last of its memory is there. */
  async #copy(): Promise<Result<PreparedArrival>> {
    const { context, guest, handover, disks } = this.#options
    const { migration, arrivalsOn, random, mirror } = context
    const { signal } = this.#calledOff
    await disks.hold()
    if (signal.aborted) return this.#wasCalledOff()
    const launch = await migration.launchOf(guest.id)
    if (!launch.ok) return launch
    const secret = `${random.uuid()}${random.uuid()}`.replaceAll('-', '')
    const request = { guest: guest.id, epoch: handover.epoch, launch: launch.value, secret }
    // A failing disk must not wait for a destination that is slow to answer; what it has prepared it is told to end.
    const prepared = await Promise.race([arrivalsOn(handover.to).prepare(request), this.#whenCalledOff()])
    if (!prepared.ok) return prepared
    if (signal.aborted) return this.#wasCalledOff()
    const different = this.#differentLegs(prepared.value)
    if (different !== undefined) return fail(failure('conflict', different))
    const limits = { ...migrationPolicyOf(mirror.state), postCopy: mayPostCopy(mirror.state, handover) }
    const sent = await migration.send(guest.id, prepared.value.endpoint, limits)
    if (!sent.ok) return sent
    // Should the guest stay after all, the copy of it over there is of no use or harm.
    this.#carried = arrivalsOn(handover.to).carryConsole(guest.id, context.self, 0)
    const watching = new AbortController()
    const watch = this.#watch(watching.signal)
    const still = await migration.awaitStandstill(guest.id, signal)
    watching.abort('over')
    await watch
    if (signal.aborted) return this.#wasCalledOff()
    if (!still.ok) return still
    const changed = this.#differentLegs(prepared.value)
    return changed === undefined ? prepared : fail(failure('conflict', changed))
  }

  #wasCalledOff(): Result<never> {
    return fail(failure('conflict', this.#reason || 'the guest was lost to a newer grant'))
  }

  #whenCalledOff(): Promise<Result<never>> {
    const { signal } = this.#calledOff
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(this.#wasCalledOff())))
  }

  /** Reports how far it is, and helps a copy that does not get anywhere. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { context, guest, handover, onProgress } = this.#options
    const { migration, clock, mirror } = context
    const startedMs = clock.monotonicMs()
    let reportedMs = -Infinity
    while (!signal.aborted && !this.#calledOff.signal.aborted) {
      const progress = await migration.progress(guest.id)
      if (signal.aborted) return
      const nowMs = clock.monotonicMs()
      if (progress.ok && nowMs - reportedMs >= REPORT_MS) {
        reportedMs = nowMs
        onProgress(reportOf(handover, progress.value))
      }
      if (mirror.state.statuses.get(handover.to)?.value.state === 'lost') void this.callOff(`${handover.to} is lost`)
      const isHelped = this.#isPostCopy && this.#postCopyRefused === ''
      if (progress.ok && !isHelped) await this.#help(progress.value, nowMs - startedMs)
      await clock.sleep(PROGRESS_MS, signal)
    }
  }

  /** What does not converge goes over by post-copy, where that is allowed, or is given up. */
  async #help(progress: MigrationProgress, forMs: number): Promise<void> {
    const { context, guest, handover } = this.#options
    const stuck = isStuck(progress, forMs)
    const isWanted = handover.postCopy ? hasGoneThrough(progress, 1) : stuck || isOutrun(progress)
    const isPossible = mayPostCopy(context.mirror.state, handover) && this.#postCopyRefused === ''
    if (!isPossible || !isWanted) {
      if (stuck) void this.callOff(this.#postCopyRefused || whyStuck(progress))
      return
    }
    this.#isPostCopy = true
    const begun = await context.migration.startPostCopy(guest.id)
    if (begun.ok) return
    this.#postCopyRefused = begun.error.message
    // Who asked for it gets an answer; what only may, goes on as it is.
    if (handover.postCopy) void this.callOff(begun.error.message)
  }

  /** The destination must hold exactly the legs that this run holds, which are those that the record calls current. */
  #differentLegs({ volumes }: PreparedArrival): string | undefined {
    const { disks, guest } = this.#options
    for (const { volume, hosts } of volumes) {
      const own = disks.legsOf(volume)
      if (own.length !== hosts.length || hosts.some((host) => !own.includes(host)))
        return `the replicas of ${guest.name} have changed meanwhile`
    }
    return undefined
  }

  /** What its console has said since the copy began: nearly always nothing. */
  async #carryRest(): Promise<void> {
    const { context, guest, handover } = this.#options
    const [early, size] = await Promise.all([this.#carried, context.consoleLogs?.size(guest.id)])
    const offset = early?.ok ? early.value : 0
    if (size !== undefined && size !== offset)
      await context.arrivalsOn(handover.to).carryConsole(guest.id, context.self, offset)
  }

  /** Makes the guest the other host's, or not: there is no third answer, however long the store keeps it back. */
  async #transfer(prepared: PreparedArrival): Promise<Transfer> {
    const { context, guest, grant, handover } = this.#options
    const { store, clock, mirror } = context
    const known = mirror.state.grants.get(guest.id)
    const knownGuest = mirror.state.guests.get(guest.id)
    // What this host knows is nearly always what the store has; asking first would only lengthen the standstill.
    let grantNow = known?.value.epoch === grant.epoch ? known : undefined
    let guestNow = knownGuest
    let isUnsure = false
    for (;;) {
      let refusal = grantNow && guestNow && this.#refusal(grantNow, guestNow.value)
      if (grantNow && guestNow && refusal === undefined) {
        const status = mirror.state.statuses.get(context.self)
        const outcome = await store.transact(this.#transaction(grantNow, guestNow, status?.revision ?? 0n, prepared))
        if (outcome.ok && outcome.value.committed) return { kind: 'committed' }
        if (!outcome.ok) isUnsure = true
        else if (!outcome.value.committed && volumesChanged(prepared, outcome.value.found))
          refusal = 'a disk of it has changed meanwhile'
        else if (!outcome.value.committed && statusChanged(status, outcome.value.found, context.self))
          refusal = STATUS_CHANGED
      }
      if (refusal !== undefined) {
        // One whose answer was lost may still be on its way: a newer revision of the grant keeps it from being committed.
        const isSure = !isUnsure || (await takeBackHandover(context, guest.id, handover.epoch, refusal)) === 'recorded'
        if (isSure) return { kind: 'refused', reason: refusal }
      }
      const [grantEntry, guestEntry] = await Promise.all([
        store.get(KEYS.grant(guest.id)),
        store.get(KEYS.guest(guest.id)),
      ])
      if (grantEntry.ok && guestEntry.ok) {
        if (!grantEntry.value || !guestEntry.value) return { kind: 'deposed' }
        grantNow = versioned<Grant>(grantEntry.value)
        guestNow = versioned<Guest>(guestEntry.value)
        const { epoch, host, state } = grantNow.value
        if (epoch === handover.epoch && host === handover.to) return { kind: 'committed' }
        if (epoch !== grant.epoch || host !== context.self || state === 'released') return { kind: 'deposed' }
      } else await clock.sleep(RETRY_MS)
    }
  }

  #refusal({ value: grant, revision }: Versioned<Grant>, guest: Guest): string | undefined {
    const { mirror, self } = this.#options.context
    // Held to be lost since the hand-over was decided, if only for a moment, this host has no say any more: the room at
    // the destination may be another guest's by now.
    if ((mirror.state.statuses.get(self)?.revision ?? 0n) > revision) return STATUS_CHANGED
    if (grant.handover?.epoch !== this.#options.handover.epoch) return 'the move was taken back'
    if (grant.state !== 'held' || guest.deleting || guest.desired === 'stopped') return `${guest.name} is being stopped`
    if (guest.cancelledHandover === grant.handover.epoch) return CALLED_OFF
    return undefined
  }

  #transaction(
    grant: { readonly value: Grant; readonly revision: bigint },
    guest: { readonly value: Guest; readonly revision: bigint },
    statusRevision: bigint,
    { volumes }: PreparedArrival,
  ): Transaction {
    const { context, handover } = this.#options
    const { handover: _over, spentEpoch: _spent, failedHandover: _failed, movesTo: _to, ...rest } = grant.value
    const next: Grant = {
      ...rest,
      host: handover.to,
      epoch: handover.epoch,
      cameFrom: context.self,
      ...(this.#isPostCopy ? { memoryOn: context.self } : {}),
      grantedAt: context.clock.wallMs(),
      reason: handover.reason,
    }
    const observation: GuestObservation = {
      guest: next.guest,
      host: handover.to,
      epoch: handover.epoch,
      phase: 'starting',
      reason: `it arrives from ${context.self}`,
      since: context.clock.wallMs(),
      failures: 0,
    }
    const settled = guestAfterMove(guest.value, handover)
    return {
      compares: [
        { key: KEYS.grant(next.guest), modRevision: grant.revision },
        { key: KEYS.guest(next.guest), modRevision: guest.revision },
        { key: KEYS.status(context.self), modRevision: statusRevision },
        ...volumes.map(({ volume, revision }) => ({ key: KEYS.volume(volume), modRevision: BigInt(revision) })),
      ],
      writes: [
        { kind: 'put', key: KEYS.grant(next.guest), value: JSON.stringify(next) },
        { kind: 'put', key: KEYS.observation(next.guest), value: JSON.stringify(observation) },
        ...(settled === guest.value
          ? []
          : [{ kind: 'put' as const, key: KEYS.guest(next.guest), value: JSON.stringify(settled) }]),
      ],
    }
  }

  /** First this host can write no more, twice over; then the last of the guest goes. */
  async #letGo(startedMs: number, carried: Promise<void>): Promise<void> {
    const { context, guest, handover, disks } = this.#options
    const { migration, mirror, volumesOn, events, log, clock, self } = context
    disks.end()
    const [relinquished, revoked] = await Promise.all([
      migration.relinquishDisks(guest.id),
      Promise.all(
        guest.volumes.flatMap((id) => {
          const volume = mirror.state.volumes.get(id)?.value
          return (volume ? inSync(volume) : []).map(async ({ host, pool }) => {
            const done = await volumesOn(host).revokeBelow(id, pool, handover.epoch)
            if (done.ok) events.tell(...done.value.map((name) => exportRevoked(id, host, name)))
            return done.ok
          })
        }),
      ),
    ])
    if (!relinquished.ok && !revoked.every(Boolean)) {
      // Neither line holds: the guest boots anew rather than that two hosts might write.
      log.error('the disks of a guest that leaves could not be taken from it', { guest: guest.id })
      return
    }
    // What the guest says there must stand behind it. A log that is long in coming keeps nobody waiting.
    await Promise.race([carried, clock.sleep(CONSOLE_MS_MAX)])
    const completed = await sendRest(context, guest.id, handover.epoch, await migration.complete(guest.id))
    if (!completed.ok) {
      log.warn('the last of a guest could not be handed over', { guest: guest.id, cause: completed.error })
      return
    }
    const { downtimeMs, transferredBytes } = completed.value
    const totalMs = Math.round(clock.monotonicMs() - startedMs)
    events.tell({
      kind: 'guest.migrated',
      subject: `guest/${guest.name}`,
      message: `${guest.name} moved live from ${self} to ${handover.to} in ${totalMs} ms, standing still for ${Math.round(downtimeMs)} ms: ${handover.reason}`,
      details: { from: self, to: handover.to, epoch: handover.epoch, totalMs, downtimeMs, transferredBytes },
    })
  }

  /** The guest goes on here first; then the record says so. */
  async #stay(why: Failure): Promise<DepartureOutcome> {
    const { context, guest, handover, disks } = this.#options
    const { migration, arrivalsOn, events, self } = context
    if (this.#dropped) return { kind: 'deposed' }
    const reason = this.#reason || why.message
    const cancelled = await migration.cancel(guest.id)
    if (!cancelled.ok) return { kind: 'broken', reason: `its move could not be called off: ${cancelled.error.message}` }
    disks.release()
    const recorded = await takeBackHandover(context, guest.id, handover.epoch, reason)
    void arrivalsOn(handover.to).abandon(guest.id, handover.epoch)
    if (recorded === 'deposed') return { kind: 'deposed' }
    events.tell({
      kind: 'guest.migration-failed',
      subject: `guest/${guest.name}`,
      message: `${guest.name} goes on on ${self} and was not moved to ${handover.to}: ${reason}`,
      details: { from: self, to: handover.to, epoch: handover.epoch },
    })
    return { kind: 'stays' }
  }
}

const STATUS_CHANGED = 'its host was held to be lost meanwhile'
const CALLED_OFF = 'the move was called off'

function statusChanged(
  known: { readonly revision: bigint } | undefined,
  found: readonly StoreEntry[],
  self: HostId,
): boolean {
  const entry = found.find(({ key }) => key === KEYS.status(self))
  return entry?.modRevision !== known?.revision
}

function volumesChanged({ volumes }: PreparedArrival, found: readonly StoreEntry[]): boolean {
  return volumes.some(({ volume, revision }) => {
    const entry = found.find(({ key }) => key === KEYS.volume(volume))
    return !entry || String(entry.modRevision) !== revision
  })
}
