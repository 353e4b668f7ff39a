/**
 * Making files of whole disks takes minutes: a record says who does it and how far it has come. It is there as long as
 * that takes, and ends in the transaction that writes what was made, or the reason why nothing was. Imports of images and
 * copies of guests' disks are alike in this. See docs/internals/images.md.
 */
import type { Versioned } from './cluster.ts'
import type { BlobId, HostId } from './ids.ts'

export type MakingStep =
  | 'waiting'
  | 'fetching'
  | 'checking'
  | 'converting'
  | 'copying'
  | 'unpacking'
  | 'writing'
  | 'digesting'
  | 'sending'

export interface MakingProgress {
  readonly step: MakingStep
  /** Bytes of this step, where they are counted. */
  readonly doneBytes?: number
  /** Absent when nobody knows beforehand. */
  readonly totalBytes?: number
  /** Where there are several disks: which one, from 1, and how many. */
  readonly disk?: { readonly number: number; readonly of: number }
}

export interface FileMaking {
  /** What it is for. There is one at a time of each name. */
  readonly name: string
  /** Tells it from an earlier one of the same name. */
  readonly id: string
  /** Who does it. */
  readonly host: HostId
  /** How often an agent has begun it: one that dies in the middle begins again when it is back. */
  readonly begun: number
  readonly progress: MakingProgress
  /** Files that were made so far and that nothing else names yet. */
  readonly files: readonly BlobId[]
  readonly createdAt: number
}

/** What has ended so many agents is not tried again by a further one. */
export const MAKING_BEGUN_MAX = 5

/** Those of the host, what was asked for first at the front. */
export function madeOn<Record extends FileMaking>(
  records: ReadonlyMap<string, Versioned<Record>>,
  host: HostId,
): readonly Versioned<Record>[] {
  return [...records.values()]
    .filter(({ value }) => value.host === host)
    .toSorted((one, other) => one.value.createdAt - other.value.createdAt || (one.value.id < other.value.id ? -1 : 1))
}
