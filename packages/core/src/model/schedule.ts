/** What is done to a guest at moments that a calendar names. */
import type { Branded } from './ids.ts'

/** A DNS label, unique among the guest's schedules: `nightly`. */
export type ScheduleId = Branded<'ScheduleId'>

export const SCHEDULED_ACTIONS = ['start', 'stop', 'restart', 'snapshot'] as const
export type ScheduledAction = (typeof SCHEDULED_ACTIONS)[number]

export interface Schedule {
  readonly id: ScheduleId
  readonly action: ScheduledAction
  /** Five fields, see `cron.ts`. */
  readonly cron: string
  /** IANA name: `Europe/Warsaw`. */
  readonly timeZone: string
  /** A moment that passed while nobody could act: `run` does it once, late; `skip` leaves it out. */
  readonly missed: 'run' | 'skip'
  /** Of `snapshot`: how many of this schedule's snapshots stay; the oldest ones go. */
  readonly keep?: number
  /** Of `snapshot`: with the guest's memory, if it runs then and its memory can be kept. */
  readonly memory?: boolean
  /** The moment that comes next, ms since 1970; absent when there is none any more. */
  readonly nextAt?: number
  /** When the coordinator last dealt with it, ms since 1970. */
  readonly lastAt?: number
  /** What came of that: `done`, or why nothing was done. */
  readonly lastOutcome?: string
}

export const SNAPSHOTS_KEPT = 7
/** The names of its snapshots are made of the schedule's name and the time. */
export const SNAPSHOT_SCHEDULE_NAME_MAX = 40
