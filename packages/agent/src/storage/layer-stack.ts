/**
 * Of which files a replica consists, from the oldest data to the newest: one raw file (of a linked replica: the image
 * that it started from, shared with others), and above it a layer for each
 * snapshot that was cut, which holds what was written since. Only the last one is written. Pure; the file that keeps it
 * is in `layer-files.ts`.
 */
import { assert } from '@stead/core/assert.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'

export interface Layer {
  /** Name within the pool's folder. */
  readonly file: string
  readonly format: 'raw' | 'qcow2'
  /** The snapshot that this layer and all below it show. Nobody writes it as long as that is so. */
  readonly holds?: SnapshotId
  /** The file of an image that others use too: the lowest layer of a linked replica. Nobody ever writes it. */
  readonly shared?: true
  /** Wall clock, ms, since when no snapshot needs the layer apart from the one above it. */
  readonly freeSince?: number
}

export type LayerStack = readonly Layer[]

/** A rest that is smaller than this is left where it is while its volume is served. */
export const REST_BYTES = 64 << 20

/** One thing that can be done about layers that no snapshot needs. */
export type MergeStep =
  /** Copy the layer at `upper` into the one below it; neither is written by anybody else. */
  | { readonly kind: 'merge'; readonly upper: number }
  /** Put a new layer on top, so that the one that is written now can be merged next. */
  | { readonly kind: 'push' }
  /** Copy the topmost layer down and write there again. Nobody may be writing when it ends. */
  | { readonly kind: 'collapse' }

export function topOf(stack: LayerStack): Layer {
  const top = stack.at(-1)
  assert(top, 'a replica has a layer')
  return top
}

export function withCut(stack: LayerStack, snapshot: SnapshotId | undefined, layer: Layer, nowMs: number): LayerStack {
  const { freeSince: _free, ...top } = topOf(stack)
  return [...stack.slice(0, -1), { ...top, ...(snapshot ? { holds: snapshot } : { freeSince: nowMs }) }, layer]
}

export function withoutSnapshot(stack: LayerStack, snapshot: SnapshotId, nowMs: number): LayerStack {
  return stack.map((layer) => {
    if (layer.holds !== snapshot) return layer
    const { holds: _holds, ...rest } = layer
    return { ...rest, freeSince: nowMs }
  })
}

/** The stack without its topmost layer, which was never written. */
export function withoutTop(stack: LayerStack): LayerStack {
  assert(stack.length > 1, 'the lowest layer is not taken away')
  const below = stack.slice(0, -1)
  const { holds: _holds, freeSince: _free, ...top } = topOf(below)
  return [...below.slice(0, -1), top]
}

/** Lowest first. Undefined when nothing is to be done now. */
export function nextStep(stack: LayerStack, isServed: boolean, topBytes: number): MergeStep | undefined {
  const free = stack.findIndex((layer, index) => index < stack.length - 1 && layer.holds === undefined && !layer.shared)
  if (free === -1) return undefined
  if (free + 1 < stack.length - 1) return { kind: 'merge', upper: free + 1 }
  if (!isServed) return { kind: 'collapse' }
  return topBytes > REST_BYTES ? { kind: 'push' } : undefined
}

/** The stack after the layer at `upper` was copied into the one below it. */
export function withMerged(stack: LayerStack, upper: number): LayerStack {
  const above = stack[upper]
  const below = stack[upper - 1]
  assert(above && below, 'a layer is merged into the one below it')
  assert(below.holds === undefined && !below.shared, 'what a snapshot holds or others share is not written')
  const { freeSince: _free, ...rest } = below
  const merged = {
    ...rest,
    ...(above.holds === undefined ? {} : { holds: above.holds }),
    ...(above.freeSince === undefined ? {} : { freeSince: above.freeSince }),
  }
  return [...stack.slice(0, upper - 1), merged, ...stack.slice(upper + 1)]
}

/** The replica as the snapshot shows it, with a new layer for what is written next. Undefined when it is not held. */
export function rolledBack(stack: LayerStack, snapshot: SnapshotId, layer: Layer): LayerStack | undefined {
  const index = stack.findIndex(({ holds }) => holds === snapshot)
  return index === -1 ? undefined : [...stack.slice(0, index + 1), layer]
}

/** Layers whose content should be in the one below them. */
export function mergeable(stack: LayerStack): readonly { readonly layer: Layer; readonly since: number | undefined }[] {
  return stack.flatMap((layer, index) => {
    const below = stack[index - 1]
    return below && below.holds === undefined && !below.shared ? [{ layer, since: below.freeSince }] : []
  })
}
