/**
 * What this host's pools hold of snapshots, made to agree with the records: what none of them names is given up, and
 * merged in the background. However long the host was away, and whatever was left half made.
 */
import type { HostId, VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Snapshot, SnapshotId } from '../model/snapshot.ts'
import type { HeldSnapshots } from '../ports/replica-snapshots.ts'
import type { HostContext } from './host-context.ts'

const LOOK_MS = 2_000
/** A volume is not merged more often: what is small is left until its guest has stopped, and looked at again. */
const AGAIN_MS = 10_000

export class HeldSnapshotKeeper {
  readonly #context: HostContext
  readonly #merging = new Set<VolumeId>()
  readonly #notBefore = new Map<VolumeId, number>()

  constructor(context: HostContext) {
    this.#context = context
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => log.error('snapshots could not be looked after', { error }))
      await clock.sleep(LOOK_MS, signal)
    }
  }

  async #look(): Promise<void> {
    const { self, volumesOn, mirror, log } = this.#context
    if (!mirror.loaded) return
    const held = await volumesOn(self).heldSnapshots()
    if (!held.ok) {
      log.debug('it is not known which snapshots are here', { cause: held.error })
      return
    }
    for (const each of held.value) {
      const orphans = await this.#orphansOf(each)
      for (const snapshot of orphans) {
        const released = await volumesOn(self).releaseSnapshot(each.volume, each.pool, snapshot)
        if (!released.ok) log.warn('a deleted snapshot stays', { volume: each.volume, cause: released.error })
      }
      // Also where nothing is owed by the figures: a small rest goes once the guest has stopped.
      if (orphans.length > 0 || each.layers > each.snapshots.length) this.#merge(self, each)
    }
  }

  /** Those that no record names, by a linearizable read: the own copy may be behind one that was just begun. */
  async #orphansOf({ volume, snapshots }: HeldSnapshots): Promise<readonly SnapshotId[]> {
    const { mirror, store } = this.#context
    const record = mirror.state.volumes.get(volume)?.value
    // Its replica is removed as a whole, or the copy of the records is behind.
    if (!record || snapshots.length === 0) return []
    const known = new Set([...mirror.state.snapshots.values()].map(({ value }) => value.id))
    if (snapshots.every(({ snapshot }) => known.has(snapshot))) return []
    const range = await store.range(KEYS.snapshot(record.guest, ''))
    if (!range.ok) return []
    const named = new Set(range.value.entries.map(({ value }) => (JSON.parse(value) as Snapshot).id))
    return snapshots.map(({ snapshot }) => snapshot).filter((snapshot) => !named.has(snapshot))
  }

  #merge(self: HostId, { volume, pool }: HeldSnapshots): void {
    const { volumesOn, clock, log } = this.#context
    if (this.#merging.has(volume) || clock.monotonicMs() < (this.#notBefore.get(volume) ?? 0)) return
    this.#merging.add(volume)
    volumesOn(self)
      .mergeLayers(volume, pool)
      .then((merged) => {
        this.#notBefore.set(volume, clock.monotonicMs() + AGAIN_MS)
        if (!merged.ok) log.warn('layers of a volume are not merged yet', { volume, cause: merged.error })
      })
      .catch((error: unknown) => log.error('a merge failed', { volume, error }))
      .finally(() => this.#merging.delete(volume))
  }
}
