/** What a replica holds beside its present state, and what of it waits to be merged. */
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { HeldSnapshots } from '@stead/core/ports/replica-snapshots.ts'
import { layerBytes } from './layer-files.ts'
import { mergeable, type LayerStack } from './layer-stack.ts'
import type { Clone } from './replica-clones.ts'
import type { PoolConfig } from './storage-daemon.ts'

interface HeldImage {
  readonly volume: VolumeId
  readonly snapshot: SnapshotId
}

/** `clones` and `images` of the memory: all that the pool has. */
export async function describeHeld(
  pool: PoolConfig,
  volume: VolumeId,
  stack: LayerStack,
  clones: readonly Clone[],
  images: readonly HeldImage[],
): Promise<HeldSnapshots> {
  const here = <T extends HeldImage>(all: readonly T[]) => all.filter((each) => each.volume === volume)
  const snapshots: HeldSnapshots['snapshots'][number][] = here(clones).map(({ snapshot }) => ({ snapshot }))
  for (const [index, { holds }] of stack.entries()) {
    const above = stack[index + 1]
    if (holds !== undefined && above) snapshots.push({ snapshot: holds, changedBytes: await layerBytes(pool, above) })
  }
  // What is left of one whose disks are given up already, or were never cut.
  for (const { snapshot } of here(images))
    if (!snapshots.some((each) => each.snapshot === snapshot)) snapshots.push({ snapshot })
  let debtBytes = 0
  for (const { layer } of mergeable(stack)) debtBytes += await layerBytes(pool, layer)
  const since = Math.min(...mergeable(stack).map((each) => each.since ?? Infinity))
  return {
    volume,
    pool: pool.name,
    method: stack.length > 1 ? 'layers' : 'clones',
    snapshots,
    // An image that others share is no layer to be merged.
    layers: stack.filter(({ shared }) => !shared).length - 1,
    debtBytes,
    ...(Number.isFinite(since) ? { debtSince: since } : {}),
  }
}
