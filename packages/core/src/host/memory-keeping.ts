/**
 * A running guest's memory on its way into a snapshot: QEMU copies it while the guest runs, stops the guest when little
 * is missing, and then the disks are cut. Whatever goes wrong ends with the guest running on.
 */
import { failure } from '../errors.ts'
import { machineDifferences } from '../model/guest-machine.ts'
import type { GuestId } from '../model/ids.ts'
import { whyMemoryNotKept } from '../model/platform.ts'
import type { SnapshotId, SnapshotMemory } from '../model/snapshot.ts'
import type { GuestLaunch } from '../ports/guest-host.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import type { Participant } from './snapshot-replicas.ts'

export class MemoryKeeping {
  readonly #context: HostContext
  readonly #guest: GuestId
  readonly #snapshot: SnapshotId
  readonly #calledOff = new AbortController()
  #reason = ''
  #launch: GuestLaunch | undefined
  #volume: SnapshotMemory['volume'] | undefined
  #stoodStillSinceMs = 0
  /** The guest goes on, or was never stopped: nobody needs to wait for the rest. */
  #wentOn: () => void = () => undefined
  readonly #over = new Promise<void>((resolve) => (this.#wentOn = resolve))

  constructor(context: HostContext, guest: GuestId, snapshot: SnapshotId) {
    this.#context = context
    this.#guest = guest
    this.#snapshot = snapshot
  }

  /** Resolves once the guest is not held by this any more. */
  callOff(reason: string): Promise<void> {
    if (this.#reason === '') this.#reason = reason
    this.#calledOff.abort(reason)
    return this.#over
  }

  /** Until the guest stands still. The images lie beside the replicas of its first disk. */
  async begin(participants: readonly Participant[]): Promise<Result<void>> {
    const { memory, migration, clock, mirror } = this.#context
    const { signal } = this.#calledOff
    const launch = await migration.launchOf(this.#guest)
    if (!launch.ok) return launch
    const objection = whyMemoryNotKept(mirror.state.guests.get(this.#guest)?.value.platform ?? {})
    if (objection !== '') return fail(failure('conflict', objection, { hint: 'Take it without --memory' }))
    this.#launch = launch.value
    this.#volume = participants[0]?.volume.id
    const places = participants
      .filter(({ volume }) => volume.id === this.#volume)
      .map(({ volume, host, pool }) => ({ volume: volume.id, host, pool }))
    const begun = await memory.begin(this.#guest, this.#snapshot, places)
    if (!begun.ok) return begun
    const still = await memory.awaitStandstill(this.#guest, signal)
    this.#stoodStillSinceMs = clock.monotonicMs()
    if (signal.aborted) return fail(failure('conflict', this.#reason, { hint: 'Try again soon' }))
    return still
  }

  /** What was missing is written; the guest is to be let go on. */
  complete(): Promise<Result<void>> {
    return this.#context.memory.complete(this.#guest)
  }

  /** Since the standstill was seen. */
  stoodStillMs(): number {
    return this.#context.clock.monotonicMs() - this.#stoodStillSinceMs
  }

  /** The guest runs. */
  async seal(): Promise<Result<SnapshotMemory>> {
    const { memory, migration, self, mirror } = this.#context
    this.#wentOn()
    const written = await memory.seal(this.#guest)
    if (!written.ok) return written
    const now = await migration.launchOf(this.#guest)
    if (!now.ok) return now
    if (!this.#launch || !this.#volume || machineDifferences(this.#launch, now.value).length > 0)
      return fail(failure('conflict', 'its hardware was changed meanwhile', { hint: 'Try again' }))
    const qemuVersion = mirror.state.hosts.get(self)?.value.qemuVersion
    return ok({
      ...written.value,
      volume: this.#volume,
      takenOn: self,
      ...(qemuVersion === undefined ? {} : { qemuVersion }),
      launch: { ...this.#launch, disks: this.#launch.disks.map((disk) => ({ ...disk, legs: [] })) },
    })
  }

  /** Whatever is still under way is given up, and the guest runs. Harmless after `seal`. */
  async end(): Promise<void> {
    const ended = await this.#context.memory.abandon(this.#guest)
    if (!ended.ok)
      this.#context.log.warn('the memory of a guest is still being written', { guest: this.#guest, cause: ended.error })
    this.#wentOn()
  }
}
