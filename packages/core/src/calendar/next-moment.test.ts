import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCron } from './cron.ts'
import { nextMoment } from './next-moment.ts'

/** The next moments as ISO times in UTC, without seconds. */
function moments(text: string, timeZone: string, after: string, count: number): string[] {
  const cron = parseCron(text)
  assert(cron.ok, cron.ok ? '' : cron.error.message)
  const found: string[] = []
  for (let ms = Date.parse(after); found.length < count;) {
    const next = nextMoment(cron.value, timeZone, ms)
    if (next === undefined) break
    found.push(new Date(next).toISOString().slice(0, 16))
    ms = next
  }
  return found
}

test('each night at the same local time, in winter and in summer', () => {
  assert.deepEqual(moments('30 3 * * *', 'Europe/Warsaw', '2026-01-10T00:00Z', 2), [
    '2026-01-10T02:30',
    '2026-01-11T02:30',
  ])
  assert.deepEqual(moments('30 3 * * *', 'Europe/Warsaw', '2026-07-10T00:00Z', 1), ['2026-07-10T01:30'])
  assert.deepEqual(moments('30 3 * * *', 'America/New_York', '2026-07-10T00:00Z', 1), ['2026-07-10T07:30'])
})

test('the moment itself is not the next one', () => {
  assert.deepEqual(moments('0 0 * * *', 'UTC', '2026-01-10T00:00:00Z', 1), ['2026-01-11T00:00'])
  assert.deepEqual(moments('0 0 * * *', 'UTC', '2026-01-09T23:59:59.999Z', 1), ['2026-01-10T00:00'])
})

test('what is due in the hour that is left out in spring is due an hour later, once', () => {
  // Clocks go from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
  assert.deepEqual(moments('30 2 * * *', 'Europe/Warsaw', '2026-03-28T12:00Z', 2), [
    '2026-03-29T01:30',
    '2026-03-30T00:30',
  ])
})

test('what is due at an hour that comes twice in autumn is due at its first coming', () => {
  // Clocks go from 03:00 back to 02:00 on 25 October 2026, at 01:00 UTC.
  assert.deepEqual(moments('30 2 * * *', 'Europe/Warsaw', '2026-10-24T12:00Z', 2), [
    '2026-10-25T00:30',
    '2026-10-26T01:30',
  ])
})

test('what is due every half hour goes on evenly over both changes', () => {
  for (const [after, until] of [
    ['2026-03-28T23:10Z', '2026-03-29T03:00'],
    ['2026-10-24T23:10Z', '2026-10-25T03:00'],
  ] as const) {
    const found = moments('*/30 * * * *', 'Europe/Warsaw', after, 8)
    assert.equal(found.at(-1), until)
    const times = found.map((time) => Date.parse(`${time}Z`))
    assert.deepEqual(new Set(times.slice(1).map((time, index) => time - (times[index] ?? 0))), new Set([1_800_000]))
  }
})

test('clocks that change by half an hour, and zones that change at midnight', () => {
  assert.deepEqual(moments('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00Z', 2), [
    '2026-10-03T15:45',
    '2026-10-04T15:15',
  ])
  // Midnight is left out in Santiago on 6 September 2026: it becomes one o'clock.
  assert.deepEqual(moments('0 0 * * *', 'America/Santiago', '2026-09-05T12:00Z', 2), [
    '2026-09-06T04:00',
    '2026-09-07T03:00',
  ])
})

test('days of the month, of the week, and either of both', () => {
  assert.deepEqual(moments('0 12 1 * *', 'UTC', '2026-01-15T00:00Z', 2), ['2026-02-01T12:00', '2026-03-01T12:00'])
  assert.deepEqual(moments('0 12 * * sun', 'UTC', '2026-01-15T00:00Z', 2), ['2026-01-18T12:00', '2026-01-25T12:00'])
  assert.deepEqual(moments('0 12 * * 7', 'UTC', '2026-01-15T00:00Z', 1), ['2026-01-18T12:00'])
  assert.deepEqual(moments('0 12 20 * mon', 'UTC', '2026-01-15T00:00Z', 3), [
    '2026-01-19T12:00',
    '2026-01-20T12:00',
    '2026-01-26T12:00',
  ])
})

test('leap days are found, over the eight years around 2100 too; days that never come are not', () => {
  assert.deepEqual(moments('0 0 29 2 *', 'UTC', '2026-01-01T00:00Z', 1), ['2028-02-29T00:00'])
  assert.deepEqual(moments('0 0 29 2 *', 'UTC', '2096-03-01T00:00Z', 1), ['2104-02-29T00:00'])
  assert.deepEqual(moments('0 0 30 2 *', 'UTC', '2026-01-01T00:00Z', 1), [])
})

test('steps, ranges, lists, names and shorthands', () => {
  assert.deepEqual(moments('0 8-18/5 * jan-feb mon,Fri', 'UTC', '2026-01-16T09:00Z', 3), [
    '2026-01-16T13:00',
    '2026-01-16T18:00',
    '2026-01-19T08:00',
  ])
  assert.deepEqual(moments('@hourly', 'Asia/Kolkata', '2026-01-16T09:00Z', 1), ['2026-01-16T09:30'])
})

for (const [text, why] of [
  ['', /no fields/],
  ['* * * *', /4 fields/],
  ['60 * * * *', /`60` is no minute/],
  ['* 24 * * *', /`24` is no hour/],
  ['* * 0 * *', /`0` is no day of month/],
  ['* * * 13 *', /`13` is no month/],
  ['* * * * 8', /`8` is no day of week/],
  ['*/0 * * * *', /a step is at least 1/],
  ['5-1 * * * *', /`5-1` is no minute/],
  ['1-2-3 * * * *', /is no minute/],
  ['1,,2 * * * *', /`` is no minute/],
  ['NaN * * * *', /`nan` is no minute/],
  ['-1 * * * *', /`-1` is no minute/],
  ['1e3 * * * *', /is no minute/],
  ['@reboot', /1 fields/],
  ['__proto__', /1 fields/],
  ['constructor', /1 fields/],
  ['* '.repeat(200), /longer than/],
] as const)
  test(`\`${text.slice(0, 20)}\` is refused`, () => {
    const cron = parseCron(text)
    assert(!cron.ok && cron.error.code === 'bad_request')
    assert.match(cron.error.message, why)
  })
