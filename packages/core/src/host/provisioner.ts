/**
 * Makes the replicas of new volumes. Run by the coordinator, from the records alone: a create whose client or whose
 * agent vanishes is finished by whoever coordinates next. A create that cannot succeed is undone completely.
 */
import type { Failure, FailureCode } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { KEYS } from '../model/keys.ts'
import type { Volume } from '../model/volume.ts'
import type { HostContext } from './host-context.ts'
import type { Write } from '../ports/store.ts'

/** News wakes it at once; this is for what was put off. */
const TICK_MS = 1_000
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

  async run(signal: AbortSignal): Promise<void> {
    const { mirror, clock } = this.#context
    const off = mirror.onChange((state) => this.#look(state))
    while (!signal.aborted) {
      this.#look(mirror.state)
      await clock.sleep(TICK_MS, signal)
    }
    off()
  }

  #look(state: ClusterState): void {
    if (!this.#isCoordinating()) return
    for (const { value: volume } of state.volumes.values()) {
      if (volume.ready || volume.rollBackTo !== undefined || this.#busy.has(volume.id)) continue
      const guest = state.guests.get(volume.guest)?.value
      if (!guest || guest.deleting) continue
      this.#busy.add(volume.id)
      this.#provision(guest, volume)
        .catch((error: unknown) => this.#context.log.error('a volume could not be made', { volume: volume.id, error }))
        .finally(() => this.#busy.delete(volume.id))
    }
  }

  async #provision(guest: Guest, volume: Volume): Promise<void> {
    const { volumesOn, clock, store, mirror, log } = this.#context
    const startedMs = this.#since.get(volume.id) ?? clock.monotonicMs()
    this.#since.set(volume.id, startedMs)
    const answers = await Promise.all(
      volume.replicas.map((replica) =>
        volumesOn(replica.host).createReplica(
          { volume: volume.id, pool: replica.pool, sizeBytes: volume.sizeBytes },
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
      if (!isPatient) return this.#undo(guest, failed.error)
      await clock.sleep(TICK_MS)
      return
    }
    const known = mirror.state.volumes.get(volume.id)
    this.#since.delete(volume.id)
    // Deleted meanwhile: writing it now would bring a record back that nobody ever removes. Ready already, by another
    // coordinator: its guest may run, and what this one read before says nothing of replicas that it went on without.
    if (!known || known.value.ready) return
    await store.transact({
      compares: [{ key: KEYS.volume(volume.id), modRevision: known.revision }],
      writes: [{ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify({ ...known.value, ready: true }) }],
    })
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
    const failure = { code: error.code, message: error.message, ...(error.hint ? { hint: error.hint } : {}) }
    for (const { value: operation } of mirror.state.operations.values()) {
      if (operation.subject !== `guest/${guest.id}` || operation.state === 'succeeded' || operation.state === 'failed')
        continue
      const finished = { ...operation, state: 'failed', message: error.message, failure, finishedAt: clock.wallMs() }
      writes.push({ kind: 'put', key: KEYS.operation(operation.id), value: JSON.stringify(finished) })
    }
    const outcome = await store.transact({
      compares: [{ key: KEYS.guest(guest.id), modRevision: known.revision }],
      writes,
    })
    if (outcome.ok && outcome.value.committed) this.#since.clear()
    else await clock.sleep(100)
  }
}
