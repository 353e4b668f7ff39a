/**
 * Makes the replicas of new volumes. Run by the coordinator, from the records alone: a create whose client or whose
 * agent vanishes is finished by whoever coordinates next. A create that cannot succeed is undone completely.
 */
import { failure, type Failure, type FailureCode } from '../errors.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { KEYS } from '../model/keys.ts'
import { formOf, type Volume } from '../model/volume.ts'
import type { HostContext } from './host-context.ts'
import type { Write } from '../ports/store.ts'
import { failedOperationWrites } from './ended-operations.ts'
import { watchRecords } from './record-watch.ts'
import { detachWrites, eraseVolumeWrites, joinWrites, leavingAtRest } from './volume-attachment.ts'
import { makeRoom } from './volume-growth.ts'

const RETRY_MS = 1_000
/** A host that cannot be reached for so long makes the create fail. */
const PATIENCE_MS = 30_000
/** Answers that say nothing about whether the replica can be made. */
const PASSING: ReadonlySet<FailureCode> = new Set(['host_unreachable', 'store_timeout', 'no_quorum'])

export class Provisioner {
  readonly #context: HostContext
  readonly #isCoordinating: () => boolean
  readonly #busy = new Set<string>()
  readonly #since = new Map<string, number>()

  constructor(context: HostContext, isCoordinating: () => boolean) {
    this.#context = context
    this.#isCoordinating = isCoordinating
  }

  run(signal: AbortSignal): Promise<void> {
    return watchRecords(this.#context, (state) => this.#look(state), signal)
  }

  #look(state: ClusterState): void {
    if (!this.#isCoordinating()) return
    for (const { value: volume } of state.volumes.values()) {
      if (volume.ready && volume.growTo !== undefined) this.#once(volume.id, () => this.#grow(volume))
      if (volume.ready || volume.rollBackTo !== undefined || volume.awaitsContent) continue
      const guest = state.guests.get(volume.guest)?.value
      const isWanted = guest !== undefined && !guest.deleting
      if (!isWanted && volume.attachment !== 'joining') continue
      this.#once(volume.id, () =>
        isWanted ? this.#provision(guest, volume) : this.#undoJoin(volume, failure('conflict', 'The guest is deleted')),
      )
    }
    for (const { guest, volume } of leavingAtRest(state)) this.#once(volume.value.id, () => this.#detach(guest, volume))
  }

  #once(id: string, work: () => Promise<void>): void {
    if (this.#busy.has(id)) return
    this.#busy.add(id)
    work()
      .catch((error: unknown) => this.#context.log.error('a volume could not be made', { volume: id, error }))
      .finally(() => this.#busy.delete(id))
  }

  async #provision(guest: Guest, volume: Volume): Promise<void> {
    const { volumesOn, clock, store, mirror, log } = this.#context
    const startedMs = this.#since.get(volume.id) ?? clock.monotonicMs()
    this.#since.set(volume.id, startedMs)
    const answers = await Promise.all(
      volume.replicas.map((replica) =>
        volumesOn(replica.host).createReplica(
          { volume: volume.id, pool: replica.pool, sizeBytes: volume.sizeBytes, ...formOf(volume) },
          volume.content,
        ),
      ),
    )
    const failed = answers.find((answer) => !answer.ok)
    if (failed && !failed.ok) {
      const isHopeless = volume.replicas.some(
        (replica) => mirror.state.statuses.get(replica.host)?.value.state === 'lost',
      )
      const isPatient = !isHopeless && PASSING.has(failed.error.code) && clock.monotonicMs() - startedMs < PATIENCE_MS
      log.warn('a replica could not be made', { volume: volume.id, cause: failed.error })
      if (!isPatient)
        return volume.attachment === 'joining' ? this.#undoJoin(volume, failed.error) : this.#undo(guest, failed.error)
      await clock.sleep(RETRY_MS)
      return
    }
    const known = mirror.state.volumes.get(volume.id)
    this.#since.delete(volume.id)
    // Deleted meanwhile: writing it now would bring a record back that nobody ever removes. Ready already, by another
    // coordinator: its guest may run, and what this one read before says nothing of replicas that it went on without.
    if (!known || known.value.ready) return
    const joined = known.value.attachment === 'joining' ? joinWrites(mirror.state, known) : undefined
    if (known.value.attachment === 'joining' && !joined) return
    const { cloneOf: _made, ...made } = known.value
    await store.transact(
      joined ?? {
        compares: [{ key: KEYS.volume(volume.id), modRevision: known.revision }],
        writes: [{ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify({ ...made, ready: true }) }],
      },
    )
  }

  async #grow(volume: Volume): Promise<void> {
    const { clock } = this.#context
    const sinceMs = this.#since.get(volume.id) ?? clock.monotonicMs()
    this.#since.set(volume.id, sinceMs)
    const isPatient = clock.monotonicMs() - sinceMs < PATIENCE_MS
    const isSettled = await makeRoom(this.#context, volume, ({ code }) => isPatient && PASSING.has(code))
    if (isSettled) this.#since.delete(volume.id)
    else await clock.sleep(RETRY_MS)
  }

  /** The guest goes on without the disk that could not be made. */
  async #undoJoin(volume: Volume, error: Failure): Promise<void> {
    const { mirror, store, clock } = this.#context
    const known = mirror.state.volumes.get(volume.id)
    if (!known || known.value.attachment !== 'joining') return
    const outcome = await store.transact({
      compares: [{ key: KEYS.volume(volume.id), modRevision: known.revision }],
      writes: [...eraseVolumeWrites(volume), ...failedOperationWrites(this.#context, `volume/${volume.id}`, error)],
    })
    if (outcome.ok && outcome.value.committed) this.#since.delete(volume.id)
    else await clock.sleep(100)
  }

  /** Of a guest that does not run, nobody has to be asked. */
  async #detach(guest: Versioned<Guest>, volume: Versioned<Volume>): Promise<void> {
    const { mirror, store, clock } = this.#context
    const grant = mirror.state.grants.get(guest.value.id)
    // After an unclean end the replicas may differ, and no grant will say so of this volume any more.
    const end = { flushed: grant?.value.clean ?? true, wallMs: clock.wallMs(), epoch: grant?.value.epoch ?? 0 }
    const { compares, writes } = detachWrites(guest, volume, end)
    const atRest = { key: KEYS.grant(guest.value.id), modRevision: grant?.revision ?? 0n }
    const outcome = await store.transact({ compares: [...compares, atRest], writes })
    if (!outcome.ok || !outcome.value.committed) await clock.sleep(100)
  }

  async #undo(guest: Guest, error: Failure): Promise<void> {
    const { mirror, store, clock } = this.#context
    const known = mirror.state.guests.get(guest.id)
    if (!known) return
    const writes: Write[] = [
      {
        kind: 'put',
        key: KEYS.guest(guest.id),
        value: JSON.stringify({ ...guest, desired: 'stopped', deleting: true }),
      },
    ]
    writes.push(...failedOperationWrites(this.#context, `guest/${guest.id}`, error))
    const outcome = await store.transact({
      compares: [{ key: KEYS.guest(guest.id), modRevision: known.revision }],
      writes,
    })
    if (outcome.ok && outcome.value.committed) this.#since.clear()
    else await clock.sleep(100)
  }
}
