/** What users want of a guest's life beside that it runs. One optional field of its record; everything in it is optional. */
import type { ReadinessProbe } from './probe.ts'
import type { Schedule } from './schedule.ts'

/** What must not be done to a guest before the protection is taken off it. `stop` keeps it from being deleted as well. */
export const PROTECTIONS = ['delete', 'stop'] as const
export type Protection = (typeof PROTECTIONS)[number]

export interface GuestLifecycle {
  /**
   * Of a guest that HA ignores: it is started again where it ran when its host has booted. Guests that HA keeps started
   * are so in any case, and stopped ones never.
   */
  readonly autostart?: boolean
  readonly protectedFrom?: readonly Protection[]
  readonly tags?: readonly string[]
  /** Markdown. */
  readonly notes?: string
  readonly probe?: ReadinessProbe
  readonly schedules?: readonly Schedule[]
}

export const LIFECYCLE_LIMITS = { tags: 32, notesLength: 8_192, schedules: 16 } as const
