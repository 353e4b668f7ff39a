import type { EventKind } from '@stead/core/model/event.ts'

type Tone = 'good' | 'busy' | 'quiet' | 'warn' | 'bad'

const BAD = /\.(lost|failed|fenced-itself|migration-failed|move-failed|accepted)$/
const WARN =
  /\.(suspected|stale|waiting|paused|exited|unready|redirected|skipped|limit-reached|watchdog|disarmed|restarted|confirmed-dead|power-cut)$/
const GOOD = /\.(online|cleared|started|resumed|ready|in-sync|finished|migrated|moved|direct|armed|joined)$/

/** How an event should strike whoever reads a list of them. */
export function eventTone(kind: EventKind): Tone {
  if (BAD.test(kind)) return 'bad'
  if (WARN.test(kind)) return 'warn'
  return GOOD.test(kind) ? 'good' : 'quiet'
}
