/**
 * The port `ReplicaSnapshots` on this host's pools. Where the file system can clone files, a snapshot is a clone and
 * the replica stays as it is; else it is the layers below the one that is written. What a layer's file is for is in
 * `layer-stack.ts`; why each order of steps is safe is in docs/internals/snapshots.md.
 */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { SNAPSHOTS_MAX, type SnapshotId } from '@stead/core/model/snapshot.ts'
import type { HeldSnapshots, ReplicaSnapshots } from '@stead/core/ports/replica-snapshots.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { describeHeld } from './held-snapshots.ts'
import type { KeyedLock } from './keyed-lock.ts'
import {
  allocateWhole,
  createLayer,
  layerBytes,
  layerNameOf,
  newLayerName,
  readStack,
  sweepLayers,
  trimReserve,
  writeStack,
} from './layer-files.ts'
import {
  nextStep,
  rolledBack,
  topOf,
  withCut,
  withMerged,
  withoutSnapshot,
  withoutTop,
  type Layer,
  type LayerStack,
} from './layer-stack.ts'
import { imagesIn, releaseImage } from './memory-images.ts'
import { MergeJob } from './merge-job.ts'
import {
  canClone,
  clonesIn,
  cutClone,
  prepareClone,
  releaseClone,
  rollBackToClone,
  sealClone,
} from './replica-clones.ts'
import { layeredVolumes } from './replica-files.ts'
import { cutAlready, neverCut, notPrepared, openedByOlder, tooMany } from './snapshot-refusals.ts'
import type { PoolConfig, StorageDaemon } from './storage-daemon.ts'
import type { VolumeNode } from './volume-node.ts'

export interface ReplicaPlace {
  readonly daemon: StorageDaemon
  readonly pool: PoolConfig
  readonly sizeBytes: number
  readonly node: VolumeNode
}

export interface ReplicaSnapshotsOptions {
  readonly pools: readonly PoolConfig[]
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly lock: KeyedLock
  /** Serialised with every other call for the volume, its node open. */
  readonly withPlace: <T>(
    volume: VolumeId,
    pool: string,
    task: (place: ReplicaPlace) => Promise<Result<T>>,
  ) => Promise<Result<T>>
  /** The same, of a replica of which nothing is known. */
  readonly inTurn: <T>(
    volume: VolumeId,
    pool: string,
    task: (place: Omit<ReplicaPlace, 'sizeBytes'>) => Promise<Result<T>>,
  ) => Promise<Result<T>>
  /** The snapshot that the volume's record wants it rolled back to, read linearizably. */
  readonly readTarget: (volume: VolumeId) => Promise<Result<SnapshotId | undefined>>
}

export class LocalReplicaSnapshots implements ReplicaSnapshots {
  readonly #options: ReplicaSnapshotsOptions
  readonly #canClone = new Map<string, Promise<boolean>>()

  constructor(options: ReplicaSnapshotsOptions) {
    this.#options = options
  }

  prepareSnapshot(volume: VolumeId, poolName: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#options.withPlace(volume, poolName, async ({ pool, node, daemon, sizeBytes }) => {
      const stack = await readStack(pool, volume)
      if (!stack.ok) return stack
      if (stack.value.some(({ holds }) => holds === snapshot)) return ok()
      if ((await this.#heldBy(pool, volume, stack.value)).length >= SNAPSHOTS_MAX || stack.value.length > SNAPSHOTS_MAX)
        return fail(tooMany(volume))
      if (stack.value.length === 1 && (await this.#clones(pool))) return prepareClone(pool, volume, snapshot, sizeBytes)
      const settled = await this.settleCollapse(volume, daemon, node)
      if (!settled.ok) return settled
      if (settled.value)
        return fail(failure('conflict', `Volume ${volume} has just been merged`, { hint: 'Try again' }))
      const driver = await node.driver()
      if (!driver.ok) return driver
      if (driver.value !== 'throttle') return fail(openedByOlder(volume))
      return this.#prepareLayer({ pool, node, sizeBytes, volume }, stack.value, layerNameOf(snapshot), snapshot)
    })
  }

  cutSnapshot(volume: VolumeId, poolName: string, snapshot: SnapshotId): Promise<Result<void>> {
    // A guest stands still: nothing is looked at that `prepareSnapshot` has made sure of.
    return this.#options.inTurn(volume, poolName, async ({ pool, node }) => {
      const stack = await readStack(pool, volume)
      if (!stack.ok) return stack
      const below = stack.value.at(-2)
      if (below?.holds === snapshot) {
        const put = await node.putOnTop(topOf(stack.value), below)
        if (put.ok) return put
        const state = await node.layerState(topOf(stack.value))
        return state.ok && state.value === 'used' ? fail(cutAlready(volume)) : put
      }
      if (stack.value.length === 1 && (await this.#clones(pool))) return cutClone(pool, volume, snapshot)
      return fail(notPrepared(volume))
    })
  }

  sealSnapshot(volume: VolumeId, poolName: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#options.withPlace(volume, poolName, async ({ pool, node }) => {
      const stack = await readStack(pool, volume)
      if (!stack.ok) return stack
      const index = stack.value.findIndex(({ holds }) => holds === snapshot)
      const held = stack.value[index]
      const above = stack.value[index + 1]
      if (!held || !above) return sealClone(pool, volume, snapshot)
      const state = await node.layerState(above)
      if (!state.ok) return state
      if (state.value !== 'used') return fail(neverCut(volume))
      await trimReserve(pool, held)
      return ok()
    })
  }

  releaseSnapshot(volume: VolumeId, poolName: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#options.withPlace(volume, poolName, async ({ pool, node }) => {
      const forgotten = await releaseImage(pool, volume, snapshot)
      if (!forgotten.ok) return forgotten
      const stack = await readStack(pool, volume)
      if (!stack.ok) return stack
      const released = withoutSnapshot(stack.value, snapshot, Date.now())
      const isHeld = stack.value.some(({ holds }) => holds === snapshot)
      if (!isHeld) return releaseClone(pool, volume, snapshot)
      const top = topOf(stack.value)
      const state = stack.value.at(-2)?.holds === snapshot ? await node.layerState(top) : ok('used')
      if (!state.ok) return state
      if (state.value === 'used') return writeStack(pool, volume, released)
      // Prepared and never cut.
      return this.#dropTop({ pool, node, volume }, stack.value)
    })
  }

  async mergeLayers(volume: VolumeId, poolName: string): Promise<Result<void>> {
    // One merge of a volume at a time; the volume's own lock is held only while its layers change.
    return this.#options.lock.run(`merge ${volume}`, async () => {
      for (;;) {
        const stepped = await this.#mergeStep(volume, poolName)
        if (!stepped.ok) return stepped
        if (!stepped.value) return ok()
      }
    })
  }

  rollBackReplica(volume: VolumeId, poolName: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#options.withPlace(volume, poolName, async (place) => {
      const { pool, node, daemon, sizeBytes } = place
      const target = await this.#options.readTarget(volume)
      if (!target.ok) return target
      if (target.value !== snapshot)
        return fail(failure('conflict', `Volume ${volume} is not to be rolled back to ${snapshot}`))
      const ended = await this.endAll(volume, daemon, node)
      if (!ended.ok) return ended
      const stack = await readStack(pool, volume)
      if (!stack.ok) return stack
      if (!stack.value.some(({ holds }) => holds === snapshot)) {
        const isCloned = (await clonesIn(pool)).some(
          (clone) => clone.isSealed && clone.volume === volume && clone.snapshot === snapshot,
        )
        if (!isCloned) return fail(failure('not_found', `Pool ${pool.name} has no such snapshot of volume ${volume}`))
        // The layers, if any, are newer than the clone.
        const alone = await writeStack(pool, volume, stack.value.slice(0, 1))
        if (!alone.ok) return alone
        await sweepLayers(pool, volume, stack.value.slice(0, 1))
        return rollBackToClone(pool, volume, snapshot, this.#options.user)
      }
      const layer = await this.#newLayer(pool, volume, sizeBytes, newLayerName())
      if (!layer.ok) return layer
      const next = rolledBack(stack.value, snapshot, layer.value) ?? stack.value
      const written = await writeStack(pool, volume, next)
      if (written.ok) await sweepLayers(pool, volume, next)
      return written
    })
  }

  async heldSnapshots(): Promise<Result<readonly HeldSnapshots[]>> {
    const held: HeldSnapshots[] = []
    for (const pool of this.#options.pools) {
      const clones = await clonesIn(pool)
      const images = await imagesIn(pool)
      const volumes = new Set([...(await layeredVolumes(pool)), ...[...clones, ...images].map(({ volume }) => volume)])
      for (const volume of volumes) {
        const stack = await readStack(pool, volume)
        if (!stack.ok) return stack
        held.push(await describeHeld(pool, volume, stack.value, clones, images))
      }
    }
    return ok(held.filter(({ snapshots, layers }) => snapshots.length > 0 || layers > 0))
  }

  /** Ends all that uses the volume's node, and closes it. Under the volume's lock. */
  async endAll(volume: VolumeId, daemon: StorageDaemon, node: VolumeNode): Promise<Result<void>> {
    const exports = await node.exports()
    if (!exports.ok) return exports
    const revoked = await node.deleteExports(exports.value)
    if (!revoked.ok) return revoked
    const cancelled = await new MergeJob(daemon, volume).cancel()
    return cancelled.ok ? node.close() : cancelled
  }

  /**
   * Ends a collapse under way, before anybody writes to the volume: either it has not begun to write to the lower layer,
   * or the list of layers says so now. True when it does. Under the volume's lock.
   */
  async settleCollapse(volume: VolumeId, daemon: StorageDaemon, node: VolumeNode): Promise<Result<boolean>> {
    const found = await new MergeJob(daemon, volume).find()
    return found.ok && found.value?.kind !== 'collapse' ? ok(false) : this.settleMerge(volume, daemon, node)
  }

  /** The same for a merge of any layers: none is under way when it returns, and another one begins where it ended. */
  async settleMerge(volume: VolumeId, daemon: StorageDaemon, node: VolumeNode): Promise<Result<boolean>> {
    const job = new MergeJob(daemon, volume)
    const found = await job.find()
    if (!found.ok || !found.value) return found.ok ? ok(false) : found
    const { layerNode } = found.value
    const cancelled = await job.cancel()
    if (!cancelled.ok) return cancelled
    const stack = await readStack(daemon.pool, volume)
    if (!stack.ok) return stack
    const merged = stack.value.find((layer) => node.layerNode(layer) === layerNode)
    const state = merged ? await node.layerState(merged) : ok('used')
    if (!state.ok) return state
    if (!merged || state.value === 'used') return ok(false)
    return this.#noteMerged({ pool: daemon.pool, node, volume }, stack.value, stack.value.indexOf(merged))
  }

  /** One step; true when another one may follow. */
  async #mergeStep(volume: VolumeId, poolName: string): Promise<Result<boolean>> {
    const begun = await this.#options.withPlace(volume, poolName, async (place) => this.#beginStep(volume, place))
    if (!begun.ok || begun.value === 'nothing') return begun.ok ? ok(false) : begun
    if (begun.value === 'again') return ok(true)
    const waited = await begun.value.wait()
    return this.#options.withPlace(volume, poolName, (place) => this.#endStep(volume, place, waited))
  }

  async #beginStep(volume: VolumeId, place: ReplicaPlace): Promise<Result<MergeJob | 'nothing' | 'again'>> {
    const { pool, node, daemon, sizeBytes } = place
    const job = new MergeJob(daemon, volume)
    const found = await job.find()
    if (!found.ok) return found
    if (found.value) return ok(job)
    const written = await readStack(pool, volume)
    if (!written.ok) return written
    const stack = await this.#inUse(node, written.value)
    if (!stack.ok) return stack
    const exports = await node.exports()
    if (!exports.ok) return exports
    // While a snapshot is being made there is a layer beside, and nothing is done about the topmost one.
    const isServed = exports.value.length > 0 || stack.value !== written.value
    const step = nextStep(stack.value, isServed, await layerBytes(pool, topOf(stack.value)))
    if (!step || (step.kind === 'push' && stack.value !== written.value)) {
      await sweepLayers(pool, volume, written.value)
      return ok('nothing')
    }
    if (step.kind === 'push') {
      const pushed = await this.#prepareLayer({ pool, node, sizeBytes, volume }, stack.value, newLayerName())
      if (!pushed.ok) return pushed
      const next = await readStack(pool, volume)
      if (!next.ok) return next
      const put = await node.putOnTop(topOf(next.value), topOf(stack.value))
      if (put.ok) await trimReserve(pool, topOf(stack.value))
      return put.ok ? ok('again') : put
    }
    const upper = step.kind === 'merge' ? step.upper : stack.value.length - 1
    const [above, below] = [stack.value[upper], stack.value[upper - 1]]
    if (!above || !below) return ok('nothing')
    const started = await job.start(step.kind, node.topNode, node.layerNode(above), node.layerNode(below))
    return started.ok ? ok(job) : started
  }

  async #endStep(
    volume: VolumeId,
    { pool, node, daemon }: ReplicaPlace,
    waited: Result<'ready' | 'ended'>,
  ): Promise<Result<boolean>> {
    const job = new MergeJob(daemon, volume)
    if (!waited.ok) {
      await job.cancel()
      return waited
    }
    const found = await job.find()
    if (!found.ok) return found
    const stack = await readStack(pool, volume)
    if (!stack.ok) return stack
    const upper = stack.value.findIndex((layer) => node.layerNode(layer) === found.value?.layerNode)
    const merged = stack.value[upper]
    if (!found.value || !merged || upper < 1) return fail(failure('conflict', 'The merge was stopped'))
    if (waited.value === 'ready') {
      const exports = await node.exports()
      if (!exports.ok) return exports
      // A guest writes again: then the lower file must not take its writes before the list of layers says so.
      if (exports.value.length > 0 || upper < stack.value.length - 1) {
        const cancelled = await job.cancel()
        return cancelled.ok ? ok(exports.value.length === 0) : cancelled
      }
      const completed = await job.complete(found.value.id)
      if (!completed.ok) return completed
      const ended = await job.wait()
      if (!ended.ok) return ended
    }
    // Up to here nothing is lost by forgetting what was done: the layer still says the same as the one below it.
    const forgotten = await job.forget()
    return forgotten.ok ? this.#noteMerged({ pool, node, volume }, stack.value, upper) : forgotten
  }

  async #noteMerged(
    { pool, node, volume }: { pool: PoolConfig; node: VolumeNode; volume: VolumeId },
    stack: LayerStack,
    upper: number,
  ): Promise<Result<boolean>> {
    const next = withMerged(stack, upper)
    const merged = stack[upper]
    const written = await writeStack(pool, volume, next)
    const closed = written.ok && merged ? await node.closeLayer(merged) : written
    if (!closed.ok) return closed
    await sweepLayers(pool, volume, next)
    const allocated = await allocateWhole(pool, topOf(next))
    return allocated.ok ? ok(true) : allocated
  }

  /** Makes a layer and opens it beside the volume; the list of layers names it from now on. */
  async #prepareLayer(
    place: { pool: PoolConfig; node: VolumeNode; sizeBytes: number; volume: VolumeId },
    stack: LayerStack,
    name: string,
    snapshot?: SnapshotId,
  ): Promise<Result<void>> {
    const { pool, node, sizeBytes, volume } = place
    const inUse = await this.#inUse(node, stack)
    if (!inUse.ok) return inUse
    if (inUse.value !== stack)
      return fail(
        failure('conflict', `Another snapshot of volume ${volume} is being made`, {
          hint: 'Try again when it is done',
        }),
      )
    const layer = await this.#newLayer(pool, volume, sizeBytes, name)
    if (!layer.ok) return layer
    // Before it takes a write, never after: an empty layer too many changes nothing, one too few loses what it holds.
    const written = await writeStack(pool, volume, withCut(stack, snapshot, layer.value, Date.now()))
    const opened = written.ok ? await node.openLayer(layer.value) : written
    if (opened.ok) return opened
    await writeStack(pool, volume, stack)
    await sweepLayers(pool, volume, stack)
    return opened
  }

  async #dropTop(
    { pool, node, volume }: { pool: PoolConfig; node: VolumeNode; volume: VolumeId },
    stack: LayerStack,
  ): Promise<Result<void>> {
    const closed = await node.closeLayer(topOf(stack))
    if (!closed.ok) return closed
    const written = await writeStack(pool, volume, withoutTop(stack))
    if (written.ok) await sweepLayers(pool, volume, withoutTop(stack))
    return written
  }

  /** The layers on which the open volume stands: all, or all but a topmost one that was prepared and not put there. */
  async #inUse(node: VolumeNode, stack: LayerStack): Promise<Result<LayerStack>> {
    if (stack.length === 1) return ok(stack)
    const state = await node.layerState(topOf(stack))
    if (!state.ok) return state
    return ok(state.value === 'used' ? stack : withoutTop(stack))
  }

  #newLayer(pool: PoolConfig, volume: VolumeId, sizeBytes: number, name: string): Promise<Result<Layer>> {
    const { lock, user } = this.#options
    return lock.run(`pool ${pool.name}`, () => createLayer(pool, volume, sizeBytes, name, user))
  }

  async #heldBy(pool: PoolConfig, volume: VolumeId, stack: LayerStack): Promise<readonly SnapshotId[]> {
    const clones = (await clonesIn(pool)).filter((clone) => clone.volume === volume)
    return [...clones.map(({ snapshot }) => snapshot), ...stack.flatMap(({ holds }) => holds ?? [])]
  }

  #clones(pool: PoolConfig): Promise<boolean> {
    let known = this.#canClone.get(pool.name)
    if (!known) this.#canClone.set(pool.name, (known = canClone(pool)))
    return known
  }
}
