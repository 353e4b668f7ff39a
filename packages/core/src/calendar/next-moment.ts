/** The moment at which a cron expression is due next. */
import type { Cron } from './cron.ts'
import { DAY_MS, localOf, MINUTE_MS, momentsOf } from './time-zone.ts'

/** The 29th of February may be eight years away: 2096 is followed by 2104. */
const DAYS_MAX = 8 * 366 + 1

/**
 * The first moment after `afterMs` (ms since 1970), or nothing when the days that are named never come (the 30th of
 * February). Where clocks are put forward, what is due in the hour that is left out is due an hour later; where they are
 * put back, what is due at a named hour is due once, at its first coming, and what is due every hour each time.
 */
export function nextMoment(cron: Cron, timeZone: string, afterMs: number): number | undefined {
  const today = Math.floor(localOf(afterMs, timeZone) / DAY_MS) * DAY_MS
  // From the day before: a moment that was put off over midnight belongs to it.
  for (let day = today - DAY_MS; day <= today + DAYS_MAX * DAY_MS; day += DAY_MS) {
    if (!isOnDay(cron, day)) continue
    const found = firstOfDay(cron, timeZone, day, afterMs)
    if (found !== undefined) return found
  }
  return undefined
}

function isOnDay({ daysOfMonth, months, daysOfWeek, eitherDay }: Cron, dayMs: number): boolean {
  const date = new Date(dayMs)
  if (!months.has(date.getUTCMonth() + 1)) return false
  const ofMonth = daysOfMonth.has(date.getUTCDate())
  const ofWeek = daysOfWeek.has(date.getUTCDay())
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek
}

function firstOfDay(cron: Cron, timeZone: string, day: number, afterMs: number): number | undefined {
  const isEven = hasOneOffset(timeZone, day)
  let first: number | undefined
  for (const hour of cron.hours)
    for (const minute of cron.minutes) {
      const local = day + (hour * 60 + minute) * MINUTE_MS
      for (const moment of dueAt(cron, timeZone, local)) {
        if (moment <= afterMs || (first !== undefined && moment >= first)) continue
        // On most days what comes first by the clock comes first.
        if (isEven) return moment
        first = moment
      }
    }
  return first
}

function dueAt({ isHourly }: Cron, timeZone: string, local: number): readonly number[] {
  const moments = momentsOf(local, timeZone)
  return isHourly ? moments : moments.slice(0, 1)
}

/** No clock is changed from a day before to a day after the end of this one, so far as its ends show. */
function hasOneOffset(timeZone: string, day: number): boolean {
  const [from] = momentsOf(day - DAY_MS, timeZone)
  const [to] = momentsOf(day + 2 * DAY_MS, timeZone)
  return from !== undefined && to !== undefined && to - from === 3 * DAY_MS
}
