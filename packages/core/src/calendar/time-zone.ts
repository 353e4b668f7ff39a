/**
 * Local time of a zone, from the language's own table of zones. What a given moment is called there is unambiguous; a
 * local time names one moment, none (when clocks are put forward) or two (when they are put back).
 */
export const MINUTE_MS = 60_000
export const DAY_MS = 86_400_000

/** Making one costs a hundred times what using it costs. */
const formats = new Map<string, Intl.DateTimeFormat>()

export function isTimeZone(name: string): boolean {
  try {
    formatOf(name)
    return true
  } catch {
    return false
  }
}

/** What the clock on the wall shows, as the moment at which a clock in UTC shows the same, ms since 1970. */
export function localOf(ms: number, timeZone: string): number {
  const parts = Object.fromEntries(
    formatOf(timeZone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  ) as Readonly<Record<'year' | 'month' | 'day' | 'hour' | 'minute' | 'second', number>>
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second)
}

/**
 * The moments at which the clock shows this local time, earliest first. A time that is left out when clocks are put
 * forward stands for the moment at which they would have shown it had they not been: 02:30 becomes 03:30.
 */
export function momentsOf(localMs: number, timeZone: string): readonly number[] {
  const before = offsetAt(localMs - DAY_MS, timeZone)
  const after = offsetAt(localMs + DAY_MS, timeZone)
  const candidates = before === after ? [localMs - before] : [localMs - before, localMs - after]
  const exact = candidates.filter((ms) => localOf(ms, timeZone) === localMs)
  return exact.length === 0 ? [localMs - before] : exact.toSorted((a, b) => a - b)
}

/** How far local time is ahead of UTC, ms. */
function offsetAt(ms: number, timeZone: string): number {
  return localOf(ms, timeZone) - Math.floor(ms / 1000) * 1000
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(timeZone, format)
  }
  return format
}
