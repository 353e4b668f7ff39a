/** What a simulated host's replicas were at earlier moments: the port `ReplicaSnapshots` in memory. */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { SNAPSHOTS_MAX, type SnapshotId } from '@stead/core/model/snapshot.ts'
import type { HeldSnapshots, ReplicaSnapshots } from '@stead/core/ports/replica-snapshots.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { KeptMemory } from './memory-guest-memory.ts'
import type { ReplicaContent } from './replica-content.ts'

/** What is kept of a replica's earlier states, oldest first. */
export interface Kept {
  readonly snapshot: SnapshotId
  /** Absent: prepared, not cut. */
  content?: ReplicaContent
  sealed: boolean
  /** The guest's memory at that moment, which lies beside it. */
  memory?: KeptMemory
}

export interface SnapshottedReplica {
  sizeBytes: number
  readonly content: ReplicaContent
  readonly kept: Kept[]
  /** Of released snapshots, until the layers are merged. */
  debtBytes: number
  /** As `ReplicaInfo` has them. */
  keptEpochs: readonly number[]
}

export interface MemorySnapshotsOptions {
  readonly find: (volume: VolumeId, pool: string) => Result<SnapshottedReplica>
  /** By pool, then by volume. */
  readonly pools: ReadonlyMap<string, ReadonlyMap<VolumeId, SnapshottedReplica>>
  readonly hasRoom: (bytes: number) => boolean
  readonly revokeAll: (volume: VolumeId, pool: string) => void
  readonly readTarget: (volume: VolumeId) => Promise<Result<SnapshotId | undefined>>
}

export class MemorySnapshots implements ReplicaSnapshots {
  readonly #options: MemorySnapshotsOptions

  constructor(options: MemorySnapshotsOptions) {
    this.#options = options
  }

  async prepareSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#with(volume, pool, ({ kept, sizeBytes }) => {
      if (kept.some((each) => each.snapshot === snapshot)) return ok()
      if (kept.length >= SNAPSHOTS_MAX) return fail(failure('conflict', `Volume ${volume} holds too many snapshots`))
      if (kept.some(({ content }) => !content))
        return fail(failure('conflict', `Another snapshot of volume ${volume} is being made`))
      if (!this.#options.hasRoom(sizeBytes)) return fail(failure('no_capacity', 'The pool is full'))
      kept.push({ snapshot, sealed: false })
      return ok()
    })
  }

  async cutSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#with(volume, pool, (replica) => {
      const mine = replica.kept.find((each) => each.snapshot === snapshot)
      if (!mine || mine.content) return fail(failure('conflict', `No snapshot of volume ${volume} is prepared here`))
      mine.content = replica.content.copy()
      replica.keptEpochs = []
      return ok()
    })
  }

  async sealSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#with(volume, pool, ({ kept }) => {
      const mine = kept.find((each) => each.snapshot === snapshot)
      if (!mine?.content) return fail(failure('conflict', `The snapshot of volume ${volume} was never cut`))
      mine.sealed = true
      return ok()
    })
  }

  async releaseSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#with(volume, pool, (replica) => {
      const index = replica.kept.findIndex((each) => each.snapshot === snapshot)
      const [released] = index === -1 ? [] : replica.kept.splice(index, 1)
      if (released?.content) replica.debtBytes += replica.content.blockBytes
      return ok()
    })
  }

  async mergeLayers(volume: VolumeId, pool: string): Promise<Result<void>> {
    return this.#with(volume, pool, (replica) => {
      replica.debtBytes = 0
      return ok()
    })
  }

  async rollBackReplica(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    const target = await this.#options.readTarget(volume)
    if (!target.ok) return target
    if (target.value !== snapshot)
      return fail(failure('conflict', `Volume ${volume} is not to be rolled back to ${snapshot}`))
    return this.#with(volume, pool, ({ kept, content }) => {
      const index = kept.findIndex((each) => each.snapshot === snapshot && each.sealed)
      const held = kept[index]?.content
      if (!held) return fail(failure('not_found', `Pool ${pool} has no such snapshot of volume ${volume}`))
      this.#options.revokeAll(volume, pool)
      kept.splice(index + 1)
      content.become(held)
      return ok()
    })
  }

  async heldSnapshots(): Promise<Result<readonly HeldSnapshots[]>> {
    const held: HeldSnapshots[] = []
    for (const [pool, replicas] of this.#options.pools)
      for (const [volume, { kept, debtBytes }] of replicas) {
        if (kept.length === 0 && debtBytes === 0) continue
        const snapshots = kept.map(({ snapshot }) => ({ snapshot }))
        held.push({ volume, pool, method: 'layers', snapshots, layers: kept.length, debtBytes })
      }
    return ok(held)
  }

  #with(volume: VolumeId, pool: string, work: (replica: SnapshottedReplica) => Result<void>): Result<void> {
    const found = this.#options.find(volume, pool)
    return found.ok ? work(found.value) : found
  }
}

/** What is written goes to a layer above the replica's own file. */
export function isLayered({ kept, debtBytes }: SnapshottedReplica): boolean {
  return debtBytes > 0 || kept.some(({ content }) => content)
}

/** The daemon of the replica has ended: what was only prepared cannot be cut any more. */
export function forgetPrepared({ kept }: SnapshottedReplica): void {
  for (const each of kept.filter(({ content }) => !content)) kept.splice(kept.indexOf(each), 1)
}

/** The host has lost its power: what was not sealed is gone. */
export function forgetUnsealed({ kept }: SnapshottedReplica): void {
  for (const each of kept.filter(({ sealed }) => !sealed)) kept.splice(kept.indexOf(each), 1)
}
