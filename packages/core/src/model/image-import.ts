/**
 * An image on its way: an upload that a host turns into one. The record is there as long as that takes; it ends in the
 * transaction that writes the image, or the reason why there is none. See docs/internals/images.md.
 */
import type { ClusterState, Versioned } from './cluster.ts'
import type { BlobId, HostId } from './ids.ts'

/** What an upload may be. All but `iso` become qcow2. */
export type UploadFormat = 'raw' | 'qcow2' | 'vmdk' | 'vhdx' | 'ova' | 'iso'

export type ImportTarget =
  | { readonly kind: 'disk'; readonly format: UploadFormat }
  /** A template of containers, of an archive; what the administrator says of its first process. */
  | { readonly kind: 'root'; readonly init?: readonly string[]; readonly haltSignal?: string }

export type ImportStep =
  | 'waiting'
  | 'fetching'
  | 'checking'
  | 'converting'
  | 'unpacking'
  | 'writing'
  | 'digesting'
  | 'sending'

export interface ImportProgress {
  readonly step: ImportStep
  /** Bytes of this step, where they are counted. */
  readonly doneBytes?: number
  /** Absent when nobody knows beforehand. */
  readonly totalBytes?: number
  /** Of an upload with several disks: which one, from 1, and how many. */
  readonly disk?: { readonly number: number; readonly of: number }
}

export interface ImageImport {
  /** What the image will be called; of a template `NAME@VERSION`. */
  readonly name: string
  /** Tells it from an earlier import of the same name. */
  readonly id: string
  /** Who does it. */
  readonly host: HostId
  readonly source: BlobId
  readonly target: ImportTarget
  /** How often an agent has begun it: one that dies in the middle begins again when it is back. */
  readonly begun: number
  readonly progress: ImportProgress
  /** Files that were made so far and that nothing else names yet. */
  readonly files: readonly BlobId[]
  readonly createdAt: number
}

/** What an upload that ends so many agents is not tried again by a further one. */
export const IMPORT_BEGUN_MAX = 5

/** Subject of the operation and of the events. */
export function imageSubject(name: string): string {
  return `image/${name}`
}

/** The host's imports, those that were asked for first at the front. */
export function importsOf({ imports }: ClusterState, host: HostId): readonly Versioned<ImageImport>[] {
  return [...imports.values()]
    .filter(({ value }) => value.host === host)
    .toSorted((one, other) => one.value.createdAt - other.value.createdAt || (one.value.id < other.value.id ? -1 : 1))
}

/** A disk that no pool could hold is of no use to anybody. */
export function largestPoolBytes({ hosts }: ClusterState): number {
  return Math.max(0, ...[...hosts.values()].flatMap(({ value }) => value.pools.map((pool) => pool.capacityBytes)))
}
