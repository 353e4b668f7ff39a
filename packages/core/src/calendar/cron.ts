/**
 * Cron expressions of five fields: minute, hour, day of month, month, day of week, as crontab(5) describes them. A field
 * is `*`, a number, a range `1-5`, a step `*` with `/15` or `8-18/2`, or a list of these; months and days of the week may be
 * English names of three letters, and Sunday is 0 or 7. When day of month and day of week are both restricted, either
 * will do. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for their expressions.
 */
import { failure } from '../errors.ts'
import { fail, ok, type Result } from '../result.ts'

export interface Cron {
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly daysOfMonth: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly daysOfWeek: ReadonlySet<number>
  /** Every hour is meant, or every so many: then an hour that a clock change repeats counts twice. */
  readonly isHourly: boolean
  /** Both kinds of days are restricted: either will do. */
  readonly eitherDay: boolean
}

interface Field {
  readonly name: string
  readonly least: number
  readonly most: number
  readonly names?: readonly string[]
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const FIELDS = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of month', least: 1, most: 31 },
  { name: 'month', least: 1, most: 12, names: MONTHS },
  { name: 'day of week', least: 0, most: 7, names: DAYS },
] as const satisfies readonly Field[]

/** A map: a user's word must not find what every object has. */
const SHORTHANDS: ReadonlyMap<string, string> = new Map([
  ['@hourly', '0 * * * *'],
  ['@daily', '0 0 * * *'],
  ['@weekly', '0 0 * * 0'],
  ['@monthly', '0 0 1 * *'],
  ['@yearly', '0 0 1 1 *'],
])

export const CRON_LENGTH_MAX = 200

/** Fails with `bad_request`, naming the field. */
export function parseCron(text: string): Result<Cron> {
  if (text.length > CRON_LENGTH_MAX) return refuse('', `it is longer than ${CRON_LENGTH_MAX} characters`)
  const shown = text.trim()
  const words = (SHORTHANDS.get(shown) ?? shown).split(/\s+/)
  if (words.length !== FIELDS.length)
    return refuse(shown, `it has ${shown === '' ? 'no' : words.length} fields in place of ${FIELDS.length}`)
  const values: number[][] = []
  for (const [index, field] of FIELDS.entries()) {
    const found = parseField(words[index] ?? '', field)
    if (typeof found === 'string') return refuse(shown, found)
    values.push(found)
  }
  const [minutes = [], hours = [], daysOfMonth = [], months = [], weekdays = []] = values
  const [, hourWord = '', monthDayWord = '', , weekdayWord = ''] = words
  return ok({
    minutes,
    hours,
    daysOfMonth: new Set(daysOfMonth),
    months: new Set(months),
    daysOfWeek: new Set(weekdays.map((day) => day % 7)),
    isHourly: hourWord.startsWith('*'),
    eitherDay: !monthDayWord.startsWith('*') && !weekdayWord.startsWith('*'),
  })
}

/** Its values in order, or what is wrong with it. */
function parseField(word: string, field: Field): number[] | string {
  const values = new Set<number>()
  for (const part of word.toLowerCase().split(',')) {
    const [range = '', step, ...more] = part.split('/')
    const wrong = `\`${part}\` is no ${field.name}`
    if (more.length > 0 || (step !== undefined && !/^\d{1,4}$/.test(step))) return wrong
    const by = step === undefined ? 1 : Number(step)
    if (by < 1) return `${wrong}: a step is at least 1`
    const bounds = boundsOf(range, field, step !== undefined)
    if (!bounds) return `${wrong}: it is a number from ${field.least} to ${field.most}, a range, or \`*\``
    for (let value = bounds[0]; value <= bounds[1]; value += by) values.add(value)
  }
  return [...values].toSorted((a, b) => a - b)
}

function boundsOf(range: string, field: Field, hasStep: boolean): readonly [number, number] | undefined {
  if (range === '*') return [field.least, field.most]
  const ends = range.split('-').map((word) => numberOf(word, field))
  const [from, to] = ends
  if (from === undefined || ends.length > 2) return undefined
  if (ends.length === 1) return [from, hasStep ? field.most : from]
  return to === undefined || to < from ? undefined : [from, to]
}

function numberOf(word: string, { least, most, names = [] }: Field): number | undefined {
  const named = names.indexOf(word)
  if (named >= 0) return named + least
  if (!/^\d{1,4}$/.test(word)) return undefined
  const value = Number(word)
  return value >= least && value <= most ? value : undefined
}

function refuse(text: string, why: string): Result<Cron> {
  return fail(
    failure('bad_request', `\`${text}\` is no cron expression: ${why}`, {
      hint: 'Write minute, hour, day of month, month and day of week: `30 3 * * sun`',
    }),
  )
}
