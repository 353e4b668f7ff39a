import type { GuestId, HostId } from './ids.ts'

/** Why the coordinator did what it did; stored with the grant and shown by `stead explain`. */
export interface Decision {
  readonly guest: string
  readonly action: 'start' | 'recover' | 'wait' | 'restart'
  readonly outcome: string
  /** Of a wait: what it is for. `policy`: something that an administrator has set. */
  readonly waitsFor?: 'data' | 'room' | 'order' | 'policy'
  readonly epoch: number
  readonly decidedAt: number
  readonly coordinator: string
  /** Of which plan it was part: `stead replay PLAN`. */
  readonly plan?: string
  /** What was known, one sentence each. */
  readonly facts: readonly string[]
  readonly candidates: readonly Candidate[]
  /** Of a wait: guests that were moved to make room for it. */
  readonly moved?: readonly MovedForRoom[]
}

export interface MovedForRoom {
  readonly guest: GuestId
  readonly name: string
  readonly from: HostId
  readonly to: HostId
  /** When that was decided: wall clock, ms since 1970. */
  readonly at: number
}

export interface Candidate {
  readonly host: string
  readonly chosen: boolean
  /** Empty when nothing speaks against it. */
  readonly rejectedBecause: string
  /** What speaks for it, best first. */
  readonly merits: readonly string[]
}
