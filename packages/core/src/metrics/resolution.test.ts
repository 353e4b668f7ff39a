import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { POINTS_MAX, RESOLUTIONS, resolutionOf, SAMPLE_MS, spanOf, PIECE_MS } from './resolution.ts'

const NOW = Date.parse('2026-11-23T02:00:07Z')
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

test('an hour is shown as it was measured, longer times in steps that suit a chart', () => {
  const step = (ms: number) => spanOf({ fromMs: NOW - ms, toMs: NOW }, NOW).stepMs
  assert.deepEqual([HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY].map(step), [10_000, 5 * MINUTE, 15 * MINUTE, HOUR, DAY])
})

test('no step is finer than what is still kept of that time', () => {
  const asked = { fromMs: NOW - 3 * DAY, toMs: NOW - 3 * DAY + HOUR, stepMs: 10_000 }
  assert.equal(spanOf(asked, NOW).stepMs, MINUTE)
  assert.equal(spanOf({ fromMs: NOW - 300 * DAY, toMs: NOW - 300 * DAY + HOUR }, NOW).stepMs, PIECE_MS)
})

test('whatever is asked for: whole steps around it, not too many, of a resolution that is kept', () => {
  const time = fc.integer({ min: -400 * DAY, max: DAY })
  const step = fc.option(fc.integer({ min: 1, max: 400 * DAY }), { nil: undefined })
  fc.assert(
    fc.property(time, fc.integer({ min: 1, max: 500 * DAY }), step, (ago, length, stepMs) => {
      const wish = { fromMs: NOW + ago, toMs: NOW + ago + length, ...(stepMs === undefined ? {} : { stepMs }) }
      const span = spanOf(wish, NOW)
      assert.ok(span.fromMs <= wish.fromMs && span.toMs >= wish.toMs)
      assert.ok(span.fromMs % span.stepMs === 0 && span.toMs % span.stepMs === 0)
      assert.ok((span.toMs - span.fromMs) / span.stepMs <= POINTS_MAX + 2)
      const { stepMs: kept, keepMs } = resolutionOf(span)
      assert.ok(span.stepMs % kept === 0)
      assert.ok(NOW - wish.fromMs <= keepMs || kept === RESOLUTIONS.at(-1)!.stepMs)
    }),
  )
})

test('each resolution divides a piece, and the one after it', () => {
  for (const { stepMs } of RESOLUTIONS) assert.ok(PIECE_MS % stepMs === 0 && stepMs % SAMPLE_MS === 0)
})
