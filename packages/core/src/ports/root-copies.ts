/**
 * Port: what one host holds of native roots beside the roots themselves. At the home of a root those are cuts, each the
 * root as it was at a moment, from which what follows is told apart; at another host those are copies, each whole. All
 * go by the moment that they show, wall clock of the home, ms, growing. docs/internals/native-roots.md
 */
import type { HostId, VolumeId } from '../model/ids.ts'
import type { Result } from '../result.ts'

export interface CopyOrder {
  readonly volume: VolumeId
  /** Of the host that receives. */
  readonly pool: string
  readonly at: number
  /** One that both have: only what has changed since is sent. Absent: all of it. */
  readonly base?: number
  /** The root's quota: as much must have room. */
  readonly sizeBytes: number
  readonly from: { readonly host: HostId; readonly pool: string }
}

export interface RootCopies {
  /** Whole ones that last, the oldest first; none of a root of which there is nothing. */
  held(volume: VolumeId, pool: string): Promise<Result<readonly number[]>>
  /**
   * Fetches one from its home. It is held once this returns well, and nothing of it otherwise. Refused unless the record,
   * read linearizably, wants a copy here (`conflict`), and without room (`no_capacity`).
   */
  receive(order: CopyOrder): Promise<Result<{ readonly bytes: number }>>
  /**
   * Deletes all but these, and what an earlier try has left half done. Where there is no root the newest whole one stays in any
   * case: a root that has moved here is that, until it is opened.
   */
  keepOnly(volume: VolumeId, pool: string, kept: readonly number[]): Promise<Result<void>>
}

/** What a host does to roots of its own alone. */
export interface OwnRootCopies extends RootCopies {
  /**
   * Of the root that is here, or the copy that is to become it: as it is now, and lasting when it returns. Harmless to
   * whoever writes to it.
   */
  cut(volume: VolumeId, pool: string, at: number): Promise<Result<void>>
  /**
   * What is the root of one volume becomes that of another, of which there is none yet; cuts and snapshots of it go.
   * Repeating it is harmless.
   */
  takeOver(from: VolumeId, to: VolumeId, pool: string): Promise<Result<void>>
  /**
   * Volumes of which there is nothing here but what was begun to be received and never became whole. A whole copy, and what
   * lies beside a root, is more than that: it may be all that is left of somebody's data.
   */
  unfinished(): readonly UnfinishedCopy[]
  /** Deletes that, where there is still nothing else. */
  dropUnfinished(left: UnfinishedCopy): Promise<Result<void>>
}

export interface UnfinishedCopy {
  readonly volume: VolumeId
  readonly pool: string
}
