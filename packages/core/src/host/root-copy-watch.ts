/**
 * Tells that a copy of a native root is older than it may be. By the coordinator, since the host that should have made it
 * may be the one that is gone; once, by a mark in the record.
 */
import { isLate, withLate } from '../ha/root-copies.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import { KEYS } from '../model/keys.ts'
import type { RootCopy } from '../model/root-copy.ts'
import type { Volume } from '../model/volume.ts'
import type { HostContext } from './host-context.ts'
import { watchRecords } from './record-watch.ts'
import { rootCopyLate } from './storage-events.ts'

export class RootCopyWatch {
  readonly #context: HostContext
  readonly #isCoordinating: () => boolean
  #isTelling = false

  constructor(context: HostContext, isCoordinating: () => boolean) {
    this.#context = context
    this.#isCoordinating = isCoordinating
  }

  run(signal: AbortSignal): Promise<void> {
    const ignore = () => undefined
    return watchRecords(this.#context, ignore, signal, (state) => this.#look(state))
  }

  #look(state: ClusterState): void {
    if (!this.#isCoordinating() || this.#isTelling) return
    const nowMs = this.#context.clock.wallMs()
    for (const known of state.volumes.values()) {
      const { copies = [], guest, move } = known.value
      const policy = copies.length === 0 ? undefined : state.guests.get(guest)?.value.rootCopy
      const late = policy && copies.find((copy) => copy.host !== move?.to && !copy.late && isLate(policy, copy, nowMs))
      if (!late) continue
      this.#isTelling = true
      void this.#tell(known, late).finally(() => (this.#isTelling = false))
      return
    }
  }

  async #tell({ value: volume, revision }: Versioned<Volume>, late: RootCopy): Promise<void> {
    const { store, events, mirror } = this.#context
    const marked = await store.transact({
      compares: [{ key: KEYS.volume(volume.id), modRevision: revision }],
      writes: [{ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(withLate(volume, late.host)) }],
    })
    const name = mirror.state.guests.get(volume.guest)?.value.name ?? volume.guest
    if (marked.ok && marked.value.committed) events.tell(rootCopyLate(volume, name, late))
  }
}
