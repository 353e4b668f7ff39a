import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { MetricSubject } from '@stead/core/metrics/metric.ts'
import { spanOf } from '@stead/core/metrics/resolution.ts'
import { MetricsDatabase } from './metrics-database.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const NOON = Date.parse('2026-11-23T12:00:00Z')
const WEB: MetricSubject = 'guest/web'
const everything = () => true

function open(context: TestContext, path = ':memory:'): MetricsDatabase {
  const database = new MetricsDatabase(path)
  context.after(() => database.close())
  return database
}

/** A look each ten seconds, whose figure is the number of its minute. */
async function measure(database: MetricsDatabase, fromMs: number, toMs: number, tidy = true): Promise<void> {
  for (let at = fromMs; at < toMs; at += 10_000) {
    database.append(at, [[WEB, { cpuCores: Math.floor((at - NOON) / MINUTE), memoryBytes: 64 }]])
    if (tidy) await database.tidy(at, everything)
  }
}

const cpu = (database: MetricsDatabase, fromMs: number, toMs: number, stepMs: number, nowMs = toMs) =>
  database.series(WEB, spanOf({ fromMs, toMs, stepMs }, nowMs))['cpuCores']

test('what was measured is there at once, and as it was after it was put away', async (context) => {
  const database = open(context)
  await measure(database, NOON, NOON + HOUR, false)
  const before = cpu(database, NOON, NOON + HOUR, MINUTE)
  assert.deepEqual(
    before,
    Array.from({ length: 60 }, (_, minute) => minute),
  )
  await database.tidy(NOON + HOUR, everything)
  assert.deepEqual(cpu(database, NOON, NOON + HOUR, MINUTE), before)
  assert.equal(cpu(database, NOON, NOON + HOUR, 10_000)?.length, 360)
  assert.deepEqual(cpu(database, NOON, NOON + HOUR, 30 * MINUTE), [14.5, 44.5])
})

test('what nobody measured is null, not nothing', async (context) => {
  const database = open(context)
  await measure(database, NOON, NOON + MINUTE)
  const span = spanOf({ fromMs: NOON - MINUTE, toMs: NOON + 2 * MINUTE, stepMs: MINUTE }, NOON)
  assert.deepEqual(database.series(WEB, span)['cpuCores'], [null, 0, null])
  assert.deepEqual(database.series(WEB, span)['readLatencyMs'], [null, null, null])
  assert.deepEqual(database.series('guest/other', span)['cpuCores'], [null, null, null])
})

test('a day is kept in tens of seconds, a week in minutes, a year in quarters of an hour', async (context) => {
  const database = open(context)
  await measure(database, NOON, NOON + HOUR)
  const known = async (laterMs: number, stepMs: number) => {
    database.append(NOON + laterMs, [['host', {}]])
    await database.tidy(NOON + laterMs, everything)
    return cpu(database, NOON, NOON + HOUR, stepMs, NOON + HOUR)?.some((figure) => figure !== null)
  }
  assert.equal(await known(DAY, 10_000), true)
  assert.equal(await known(DAY + 2 * HOUR, 10_000), false)
  assert.equal(await known(DAY + 2 * HOUR, MINUTE), true)
  assert.equal(await known(7 * DAY + 2 * HOUR, MINUTE), false)
  assert.equal(await known(7 * DAY + 2 * HOUR, 15 * MINUTE), true)
  assert.equal(await known(367 * DAY, 15 * MINUTE), false)
})

test('an agent that was killed between two pieces, or whose clock was set back, completes them', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-metrics-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'metrics.sqlite')
  const first = new MetricsDatabase(path)
  await measure(first, NOON, NOON + 20 * MINUTE)
  // No close: as after a SIGKILL.
  const second = open(context, path)
  await measure(second, NOON + 20 * MINUTE, NOON + 31 * MINUTE)
  await measure(second, NOON + 10 * MINUTE, NOON + 12 * MINUTE)
  await second.tidy(NOON + 46 * MINUTE, everything)
  const whole = Array.from({ length: 31 }, (_, minute) => minute)
  assert.deepEqual(cpu(second, NOON, NOON + 31 * MINUTE, MINUTE), whole)
  first.close()
})

test('of a guest that is gone nothing stays', async (context) => {
  const database = open(context)
  await measure(database, NOON, NOON + 16 * MINUTE, false)
  await database.tidy(NOON + 16 * MINUTE, (subject) => subject !== WEB)
  assert.ok(cpu(database, NOON, NOON + HOUR, MINUTE)?.every((figure) => figure === null))
})

test('the space does not grow once a day is full', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-metrics-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'metrics.sqlite')
  const database = open(context, path)
  const day = async (number: number) => {
    // A look a minute, so that the test takes no minute itself: the pieces are as large as with six.
    for (let at = NOON + number * DAY; at < NOON + (number + 1) * DAY; at += MINUTE) {
      database.append(at, [[WEB, { cpuCores: 1 }]])
      await database.tidy(at, everything)
    }
    return statSync(path).size
  }
  await day(0)
  const [second, third] = [await day(1), await day(2)]
  assert.ok(second < 2 * 2 ** 20, `${second} bytes`)
  // Pieces of minutes and of quarters of an hour: 80 KB a day.
  assert.ok(third - second < 200_000, `${third - second} bytes more`)
})
