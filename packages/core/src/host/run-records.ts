/**
 * The records that a guest's host writes while it runs the guest. Each write compares the grant's revision: a host
 * that has been deposed, knowingly or not, changes nothing. While the store is away the write is tried again, and
 * the caller waits: consistency first.
 */
import type { Versioned } from '../model/cluster.ts'
import { withoutHandover, type Grant } from '../model/grant.ts'
import type { Guest, GuestObservation } from '../model/guest.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { replicaOn, withReplica } from '../model/records.ts'
import type { Replica, Staleness, Volume } from '../model/volume.ts'
import type { Compare, StoreEntry, Write } from '../ports/store.ts'
import { ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

const RETRY_MS = 100

/** The grant, which is ours, and one more record; or the grant is ours no more. */
type Read<T> = { kind: 'ours'; grant: Versioned<Grant>; record: Versioned<T> | undefined } | { kind: 'deposed' }

export type Recorded<T = void> = { readonly kind: 'recorded'; readonly value: T } | { readonly kind: 'deposed' }

/** What is seen of a run. */
type Observed = Pick<GuestObservation, 'phase' | 'reason' | 'migration' | 'readiness' | 'hardware'>

export class RunRecords {
  readonly #context: HostContext
  readonly #guest: GuestId
  readonly #epoch: number

  constructor(context: HostContext, guest: GuestId, epoch: number) {
    this.#context = context
    this.#guest = guest
    this.#epoch = epoch
  }

  /** Changes the volume's record as long as this host holds the grant at this epoch. Returns the new record. */
  async changeVolume(
    volume: VolumeId,
    change: (volume: Volume) => Volume,
    signal?: AbortSignal,
    /** What else is written when the record changes. */
    besides: (before: Volume) => { readonly writes: readonly Write[]; readonly compares: readonly Compare[] } = () => ({
      writes: [],
      compares: [],
    }),
  ): Promise<Recorded<Volume>> {
    for (;;) {
      const read = await this.#read<Volume>(KEYS.volume(volume), signal)
      if (read.kind === 'deposed') return read
      const { grant, record } = read
      if (!record) return { kind: 'deposed' }
      const next = change(record.value)
      if (JSON.stringify(next) === JSON.stringify(record.value)) return { kind: 'recorded', value: next }
      const more = besides(record.value)
      const outcome = await this.#context.store.transact({
        compares: [
          { key: KEYS.grant(this.#guest), modRevision: grant.revision },
          { key: KEYS.volume(volume), modRevision: record.revision },
          ...more.compares,
        ],
        writes: [{ kind: 'put', key: KEYS.volume(volume), value: JSON.stringify(next) }, ...more.writes],
      })
      if (outcome.ok && outcome.value.committed) return { kind: 'recorded', value: next }
      // Refused: somebody else changed a record. Unknown: it may have been done; the change is idempotent.
      await this.#context.clock.sleep(outcome.ok ? 1 : RETRY_MS)
    }
  }

  /**
   * A replica that has left the record meanwhile is nobody's matter any more: nothing is written. Nor is anything where the
   * record would not let the guest go on with what it has `left` (absent: it need not): `mayGoOnWith` says so.
   */
  markStale(volume: VolumeId, host: HostId, stale: Staleness, left?: readonly HostId[]): Promise<Recorded<Volume>> {
    return this.changeVolume(volume, (record) => {
      if (left && !mayGoOnWith(record, left)) return record
      // A copy that was already behind stays behind since then; only what is unknown about it may grow.
      const known = replicaOn(record, host)
      if (!known) return record
      const next =
        known.stale && known.state !== 'in-sync'
          ? { ...known.stale, cause: worse(known.stale.cause, stale.cause) }
          : stale
      return withReplica(record, host, (replica) => ({ ...replica, state: 'stale', stale: next }))
    })
  }

  setReplica(volume: VolumeId, host: HostId, change: (replica: Replica) => Replica): Promise<Recorded<Volume>> {
    return this.changeVolume(volume, (record) => (replicaOn(record, host) ? withReplica(record, host, change) : record))
  }

  /**
   * Says, before the first instruction runs, that this epoch has begun here. An agent that finds this record but no
   * QEMU knows that a run ended without its last flush.
   */
  async begin(failures: number): Promise<Recorded> {
    let mirrored = this.#mirrored()
    for (;;) {
      const read = mirrored ?? (await this.#read<GuestObservation>(KEYS.observation(this.#guest)))
      mirrored = undefined
      if (read.kind === 'deposed') return read
      const outcome = await this.#context.store.transact({
        compares: [
          { key: KEYS.grant(this.#guest), modRevision: read.grant.revision },
          { key: KEYS.observation(this.#guest), modRevision: read.record?.revision ?? 0n },
        ],
        writes: [this.#observation({ phase: 'starting', reason: '' }, failures)],
      })
      if (outcome.ok && outcome.value.committed) return { kind: 'recorded', value: undefined }
      await this.#context.clock.sleep(outcome.ok ? 1 : RETRY_MS)
    }
  }

  /** All of the guest's memory is here: it needs the host no more that it came from. */
  async hasAllMemory(): Promise<Recorded> {
    for (;;) {
      const read = await this.#read<Guest>(KEYS.guest(this.#guest))
      if (read.kind === 'deposed') return read
      const { memoryOn, ...whole } = read.grant.value
      if (memoryOn === undefined) return { kind: 'recorded', value: undefined }
      const outcome = await this.#context.store.transact({
        compares: [{ key: KEYS.grant(this.#guest), modRevision: read.grant.revision }],
        writes: [{ kind: 'put', key: KEYS.grant(this.#guest), value: JSON.stringify(whole) }],
      })
      if (outcome.ok && outcome.value.committed) return { kind: 'recorded', value: undefined }
      await this.#context.clock.sleep(outcome.ok ? 1 : RETRY_MS)
    }
  }

  /** From here on the guest changes its disks: the memory that belonged to them as they were is not used again. */
  async spendMemory(): Promise<Recorded> {
    for (;;) {
      const read = await this.#read<Guest>(KEYS.guest(this.#guest))
      if (read.kind === 'deposed' || !read.record) return { kind: 'deposed' }
      const { resumeFrom, ...rest } = read.record.value
      if (resumeFrom === undefined) return { kind: 'recorded', value: undefined }
      const outcome = await this.#context.store.transact({
        compares: [
          { key: KEYS.grant(this.#guest), modRevision: read.grant.revision },
          { key: KEYS.guest(this.#guest), modRevision: read.record.revision },
        ],
        writes: [{ kind: 'put', key: KEYS.guest(this.#guest), value: JSON.stringify(rest) }],
      })
      if (outcome.ok && outcome.value.committed) return { kind: 'recorded', value: undefined }
      await this.#context.clock.sleep(outcome.ok ? 1 : RETRY_MS)
    }
  }

  async release(clean: boolean, reason: string, failures: number): Promise<Recorded> {
    for (;;) {
      const read = await this.#read<GuestObservation>(KEYS.observation(this.#guest))
      if (read.kind === 'deposed') return read
      const { memoryOn: _rest, ...ended } = withoutHandover(read.grant.value)
      const released: Grant = { ...ended, state: 'released', clean, reason }
      const observation = this.#observation({ phase: 'stopped', reason }, failures)
      const outcome = await this.#context.store.transact({
        compares: [{ key: KEYS.grant(this.#guest), modRevision: read.grant.revision }],
        writes: [{ kind: 'put', key: KEYS.grant(this.#guest), value: JSON.stringify(released) }, observation],
      })
      if (outcome.ok && outcome.value.committed) return { kind: 'recorded', value: undefined }
      await this.#context.clock.sleep(outcome.ok ? 1 : RETRY_MS)
    }
  }

  /**
   * Says what the guest does now, trying again until it is said, or until there is something newer to say. The record
   * belongs to the run that holds the grant: a host that comes back must not talk over the one that took its place. Nor
   * may an earlier word come after a later one: one whose answer was lost may still be on its way by another member of
   * the store, so each compares the record that it replaces.
   */
  async observe(word: Observed, failures: number, isOutdated: () => boolean): Promise<void> {
    const { mirror, store, log, clock } = this.#context
    const write = this.#observation(word, failures)
    const observation = JSON.parse(write.value) as GuestObservation
    mirror.unreported.set(this.#guest, { observation, failed: false })
    let complained = false
    let mirrored = this.#mirrored()
    for (;;) {
      const read = mirrored ? ok(mirrored) : await this.#readOnce<GuestObservation>(KEYS.observation(this.#guest))
      mirrored = undefined
      const known = read.ok && read.value.kind === 'ours' ? read.value : undefined
      const outcome =
        known &&
        (await store.transact({
          compares: [
            { key: KEYS.grant(this.#guest), modRevision: known.grant.revision },
            { key: KEYS.observation(this.#guest), modRevision: known.record?.revision ?? 0n },
          ],
          writes: [write],
        }))
      if ((read.ok && !known) || (outcome?.ok && outcome.value.committed)) {
        mirror.unreported.delete(this.#guest)
        return
      }
      const problem = !read.ok ? read.error : outcome?.ok ? undefined : outcome?.error
      if (problem) {
        mirror.unreported.set(this.#guest, { observation, failed: true })
        if (!complained)
          log.warn("a guest's state could not be reported yet", {
            guest: this.#guest,
            phase: word.phase,
            cause: problem,
          })
        complained = true
      }
      if (isOutdated()) return
      await clock.sleep(problem ? RETRY_MS : 1)
    }
  }

  #isOurs(grant: Grant): boolean {
    return grant.epoch === this.#epoch && grant.host === this.#context.self && grant.state !== 'released'
  }

  #observation(word: Observed, failures: number): Extract<Write, { kind: 'put' }> {
    const { phase, reason, migration, readiness, hardware } = word
    const bootId = bootOf(this.#context)
    const observation: GuestObservation = {
      guest: this.#guest,
      host: this.#context.self,
      epoch: this.#epoch,
      phase,
      reason,
      since: this.#context.clock.wallMs(),
      failures,
      ...this.#failedOn(failures, phase),
      ...(migration ? { migration } : {}),
      ...(bootId === undefined ? {} : { bootId }),
      ...(readiness ? { readiness } : {}),
      ...(hardware ? { hardware } : {}),
    }
    return { kind: 'put', key: KEYS.observation(this.#guest), value: JSON.stringify(observation) }
  }

  #failedOn(failures: number, phase: Observed['phase']): Pick<GuestObservation, 'failedOn'> {
    if (failures === 0) return {}
    const { mirror, self } = this.#context
    const known = mirror.state.observations.get(this.#guest)?.value
    const before = known?.failedOn ?? []
    // The count of failures that storage is to blame for grows only so far; a run that ends among them failed here too.
    const hasFailed = failures > (known?.failures ?? 0) || phase === 'stopped' || phase === 'failed'
    const failedHere = hasFailed && !before.includes(self)
    return { failedOn: failedHere ? [...before, self] : before }
  }

  /**
   * As this host last heard of them; undefined: as far as it knows, the grant is not ours. For a write's first try: what is
   * outdated is refused by the revisions.
   */
  #mirrored(): Read<GuestObservation> | undefined {
    const { grants, observations } = this.#context.mirror.state
    const grant = grants.get(this.#guest)
    return grant && this.#isOurs(grant.value)
      ? { kind: 'ours', grant, record: observations.get(this.#guest) }
      : undefined
  }

  /** Patient while the store is away. */
  async #read<T>(key: string, signal?: AbortSignal): Promise<Read<T>> {
    for (;;) {
      if (signal?.aborted) return { kind: 'deposed' }
      const read = await this.#readOnce<T>(key)
      if (read.ok) return read.value
      await this.#context.clock.sleep(RETRY_MS)
    }
  }

  /** Both linearizably. */
  async #readOnce<T>(key: string): Promise<Result<Read<T>>> {
    const { store } = this.#context
    const [held, entry] = await Promise.all([store.get(KEYS.grant(this.#guest)), store.get(key)])
    if (!held.ok) return held
    if (!entry.ok) return entry
    const grant = held.value && parsed<Grant>(held.value)
    if (!grant || !this.#isOurs(grant.value)) return ok({ kind: 'deposed' })
    return ok({ kind: 'ours', grant, record: entry.value && parsed<T>(entry.value) })
  }
}

/**
 * Whether one of these legs is more than a connection: a replica that has left the record, or that it calls stale, may
 * still be written to for a moment, and nobody will ever read it again.
 */
export function mayGoOnWith(volume: Volume, legs: readonly HostId[]): boolean {
  return legs.some((host) => (replicaOn(volume, host)?.state ?? 'stale') !== 'stale')
}

/** Of this host, as it has registered itself. */
export function bootOf({ mirror, self }: HostContext): string | undefined {
  return mirror.state.hosts.get(self)?.value.bootId
}

function parsed<T>(entry: StoreEntry): Versioned<T> {
  return { value: JSON.parse(entry.value) as T, revision: entry.modRevision }
}

function worse(a: Staleness['cause'], b: Staleness['cause']): Staleness['cause'] {
  const order = ['leg-lost', 'run-lost', 'unknown'] as const
  return order.indexOf(a) >= order.indexOf(b) ? a : b
}
