/**
 * Snapshots of a guest that runs here. The guest stands still only while its disks are drained, flushed and cut; all
 * that takes time comes before or after. One that an earlier life of this agent, or another host, has begun is undone.
 */
import { failure } from '../errors.ts'
import type { Versioned } from '../model/cluster.ts'
import type { GuestId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { volumesOf } from '../model/records.ts'
import type { Snapshot, SnapshotMemory } from '../model/snapshot.ts'
import type { Volume } from '../model/volume.ts'
import { fail, ok, type Result } from '../result.ts'
import type { DiskKeeper } from './disk-keeper.ts'
import type { HostContext } from './host-context.ts'
import { MemoryKeeping } from './memory-keeping.ts'
import { replaceSnapshot, snapshotsOf, undoSnapshot } from './snapshot-records.ts'
import { onAll, participantsOf, sealAll, type Participant } from './snapshot-replicas.ts'

/** The guest's file systems are thawed after this at the latest. */
const FREEZE_MS = 15_000

export interface RunSnapshotsOptions {
  readonly context: HostContext
  readonly guest: GuestId
  readonly epoch: number
  readonly disks: () => DiskKeeper
  /** What waited for its end may go on. */
  readonly onDone: () => void
}

interface Cut {
  readonly atMs: number
  readonly pauseMs: number
  readonly participants: readonly Participant[]
  readonly consistent: Snapshot['consistent']
  readonly memory?: SnapshotMemory
}

export class RunSnapshots {
  readonly #options: RunSnapshotsOptions
  /** Tells this life of the agent from the one before. */
  #life: string | undefined
  #busy = false
  #memory: MemoryKeeping | undefined

  constructor(options: RunSnapshotsOptions) {
    this.#options = options
  }

  /** While a snapshot is being made. */
  get busy(): boolean {
    return this.#busy
  }

  /** A disk of the guest fails: resolves once nothing that keeps its memory is in the way of dealing with that. */
  async interrupt(reason: string): Promise<void> {
    await this.#memory?.callOff(reason)
  }

  /** Called whenever something changed: begins what is wanted, one at a time. */
  look(): void {
    const { context, guest } = this.#options
    if (this.#busy) return
    const open = snapshotsOf(context.mirror.state, guest).find(
      ({ value }) => value.state === 'wanted' || value.state === 'cutting',
    )
    if (!open) return
    this.#busy = true
    void this.#attend(open)
      .catch((error: unknown) => context.log.error('a snapshot failed', { guest, error }))
      .then(() => context.clock.sleep(0))
      .finally(() => {
        this.#busy = false
        this.#options.onDone()
      })
  }

  async #attend(seen: Versioned<Snapshot>): Promise<void> {
    const { context } = this.#options
    const interrupted = failure('conflict', 'the agent that was making it ended, or the guest went to another host', {
      hint: 'Nothing is left of it; ask for it again',
    })
    if (seen.value.state === 'cutting') return undoSnapshot(context, seen, interrupted)
    const begun = await this.#begin(seen)
    if (!begun) return
    const cut = await (begun.value.withMemory ? this.#cutWithMemory(begun.value) : this.#cut(begun.value))
    const finished = cut.ok ? await this.#finish(begun, cut.value) : cut
    if (!finished.ok) await undoSnapshot(context, begun, finished.error)
    // Until the own copy knows: else it would be taken for one that somebody else has left.
    await context.mirror.until(
      (state) => state.snapshots.get(`${seen.value.guest}/${seen.value.name}`)?.value.cutter?.life !== this.#life,
      context.clock.sleep(1_000),
    )
  }

  async #begin(seen: Versioned<Snapshot>): Promise<Versioned<Snapshot> | undefined> {
    const { context, epoch, guest } = this.#options
    this.#life = context.random.uuid()
    const grant = context.mirror.state.grants.get(guest)
    if (grant?.value.epoch !== epoch || grant.value.state !== 'held') return undefined
    const cutter = { host: context.self, epoch, life: this.#life }
    return replaceSnapshot(context, seen, { ...seen.value, state: 'cutting', cutter }, [
      { key: KEYS.grant(guest), modRevision: grant.revision },
    ])
  }

  async #cut(snapshot: Snapshot): Promise<Result<Cut>> {
    const { context, guest } = this.#options
    const prepared = this.#participants()
    if (!prepared.ok) return prepared
    const ready = await onAll(context, 'prepareSnapshot', snapshot.id, prepared.value)
    if (!ready.ok) return ready
    const frozen = snapshot.wanted === 'filesystem' && (await context.guestAgent.freeze(guest, FREEZE_MS)).ok
    const cut = await this.#options.disks().exclusively(() => this.#cutNow(snapshot, prepared.value))
    const thawed = frozen ? await context.guestAgent.thaw(guest) : undefined
    if (!cut.ok) return cut
    const consistent = thawed?.ok && thawed.value.held ? 'filesystem' : 'crash'
    return ok({ ...cut.value, participants: prepared.value, consistent })
  }

  /** As `#cut`, in the moment in which nearly all of the guest's memory is kept. Its memory says what its disks lack. */
  async #cutWithMemory(snapshot: Snapshot): Promise<Result<Cut>> {
    const { context, guest } = this.#options
    const prepared = this.#participants()
    if (!prepared.ok) return prepared
    const participants = prepared.value
    const ready = await onAll(context, 'prepareSnapshot', snapshot.id, participants)
    if (!ready.ok) return ready
    const disks = this.#options.disks()
    const memory = (this.#memory = new MemoryKeeping(context, guest, snapshot.id))
    // What changes the legs waits until it is over, as for a live move; a leg that fails calls it off.
    await disks.hold()
    try {
      const still = await memory.begin(participants)
      if (!still.ok) return still
      const cut = await disks.exclusively(() => this.#cutStanding(snapshot, participants, memory))
      if (!cut.ok) return cut
      const kept = await memory.seal()
      return kept.ok ? ok({ ...cut.value, participants, consistent: 'crash', memory: kept.value }) : kept
    } finally {
      await memory.end()
      this.#memory = undefined
      disks.release()
    }
  }

  /** The guest stands still, drained and flushed, for its memory to be completed. */
  async #cutStanding(
    snapshot: Snapshot,
    participants: readonly Participant[],
    memory: MemoryKeeping,
  ): Promise<Result<{ readonly atMs: number; readonly pauseMs: number }>> {
    const { context, guest } = this.#options
    const atMs = context.clock.wallMs()
    const same = this.#stillThere(participants)
    if (!same.ok) return same
    const cutting = onAll(context, 'cutSnapshot', snapshot.id, participants)
    // QEMU lets go of the disks with the last of the memory: what a flush reports is asked for before.
    const flushed = await this.#flush(participants)
    const completed = flushed.ok ? await memory.complete() : flushed
    const cut = await cutting
    if (!completed.ok) return completed
    if (!cut.ok) return cut
    const resumed = await context.guests.resume(guest)
    return resumed.ok ? ok({ atMs, pauseMs: memory.stoodStillMs() }) : resumed
  }

  /** The guest's disks as they are now; fails while a disk's legs are not what its record says. */
  #participants(): Result<readonly Participant[]> {
    const { context } = this.#options
    const disks = this.#options.disks()
    const guest = context.mirror.state.guests.get(this.#options.guest)?.value
    const volumes = guest && volumesOf(context.mirror.state, guest)?.map(({ value }) => value)
    if (!volumes || volumes.length === 0) return fail(failure('conflict', 'the guest has no disk'))
    const participants = participantsOf(volumes)
    const isServed = ({ volume, host }: Participant) => disks.legsOf(volume.id).includes(host)
    const legs = volumes.reduce((sum, volume) => sum + disks.legsOf(volume.id).length, 0)
    if (legs === participants.length && participants.every(isServed)) return ok(participants)
    return fail(failure('conflict', 'a replica of its disks is just lost or coming back', { hint: 'Try again soon' }))
  }

  #stillThere(participants: readonly Participant[]): Result<void> {
    const present = this.#participants()
    if (!present.ok) return present
    const names = (all: readonly Participant[]) => all.map(({ volume, host }) => `${volume.id} ${host}`).join()
    if (names(present.value) === names(participants)) return ok()
    return fail(failure('conflict', 'a replica of its disks was lost or came back meanwhile', { hint: 'Try again' }))
  }

  /** While nothing else is done to the guest's disks. */
  async #cutNow(
    snapshot: Snapshot,
    participants: readonly Participant[],
  ): Promise<Result<{ readonly atMs: number; readonly pauseMs: number }>> {
    const { context, guest } = this.#options
    const { guests, clock } = context
    const present = this.#stillThere(participants)
    if (!present.ok) return present
    const running = await guests.inspect(guest)
    if (!running.ok) return running
    if (running.value.status !== 'running')
      return fail(failure('conflict', 'the guest stands still', { hint: 'Try again when it goes on' }))
    // Most of what a flush takes is done while the guest runs; the next one finds little left.
    const before = await this.#flush(participants)
    if (!before.ok) return before
    const startedMs = clock.monotonicMs()
    const paused = await guests.pause(guest)
    const atMs = clock.wallMs()
    // With the pause nothing is in flight any more. The flush is for what it reports: a request that failed on one leg
    // waits to be tried again, and may be on one replica and not on the other.
    const [flushed, done] = paused.ok
      ? await Promise.all([this.#flush(participants), onAll(context, 'cutSnapshot', snapshot.id, participants)])
      : [paused, paused]
    const cut = flushed.ok ? done : flushed
    // Whatever became of it, the guest goes on: a layer too many is merged away.
    const resumed = await guests.resume(guest)
    const pauseMs = clock.monotonicMs() - startedMs
    if (!cut.ok) return cut
    return resumed.ok ? ok({ atMs, pauseMs }) : resumed
  }

  async #flush(participants: readonly Participant[]): Promise<Result<void>> {
    const { context, guest } = this.#options
    for (const volume of new Set(participants.map((each): Volume['id'] => each.volume.id))) {
      const flushed = await context.guests.drainAndFlush(guest, volume)
      if (!flushed.ok) return flushed
    }
    return ok()
  }

  async #finish(begun: Versioned<Snapshot>, cut: Cut): Promise<Result<void>> {
    const { context, guest, epoch } = this.#options
    const { self, events, mirror } = context
    const sealed = await sealAll(context, begun.value.id, cut.participants)
    if (!sealed.ok) return sealed
    const { cutter: _cutter, ...rest } = begun.value
    const { consistent, memory } = cut
    const volumes = sealed.value
    const kept = memory ? { memory } : {}
    const ready: Snapshot = { ...rest, state: 'ready', createdAt: cut.atMs, consistent, volumes, ...kept }
    const name = mirror.state.guests.get(guest)?.value.name ?? guest
    const pauseMs = Math.round(cut.pauseMs * 10) / 10
    const said = events.writesFor([
      {
        kind: 'snapshot.created',
        subject: `guest/${name}`,
        message: `${name} has the snapshot ${ready.name} (${memory ? 'with its memory' : consistent}); it stood still for ${pauseMs} ms`,
        details: { snapshot: ready.name, pauseMs, consistent, epoch, ...(memory ? { memoryBytes: memory.bytes } : {}) },
      },
    ])
    // Another run's first write may come before this: then nothing is known of the moment at which each replica was cut.
    const grant = mirror.state.grants.get(guest)
    const compares = [{ key: KEYS.grant(guest), modRevision: grant?.revision ?? 0n }]
    const isMine = grant?.value.epoch === epoch && grant.value.host === self
    const recorded = isMine ? await replaceSnapshot(context, begun, ready, compares, said) : undefined
    return recorded ? ok() : fail(failure('conflict', 'the guest was stopped or moved meanwhile'))
  }
}
