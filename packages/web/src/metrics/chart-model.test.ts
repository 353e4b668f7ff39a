import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetricsView } from '@stead/api/endpoints/metrics.ts'
import { chartsOf, csvOf, digestOf, shifted, silentHosts, spanOf } from './chart-model.ts'

const NOW = Date.parse('2026-11-23T12:00:00Z')
const HOUR = 3_600_000

function view(subject: string, series: MetricsView['series'], silent: string[] = []): MetricsView {
  const metrics = [
    { name: 'cpuCores', unit: 'cores', meaning: '' },
    { name: 'readLatencyMs', unit: 'ms', meaning: '' },
    { name: 'writeLatencyMs', unit: 'ms', meaning: '' },
  ]
  const times = { from: '2026-11-23T12:00:00.000Z', to: '2026-11-23T12:00:20.000Z', stepMs: 10_000 }
  return { ...times, subject, metrics, series, hosts: ['h1'], silent }
}

const web = view('web', { cpuCores: [1, 2], readLatencyMs: [null, null], writeLatencyMs: [3, null] })

test('there is a chart for what was measured, and none for what was not', () => {
  const charts = chartsOf([web])
  assert.deepEqual(
    charts.map(({ id, unit, series }) => [id, unit, series.map(({ metric, metricIndex }) => [metric, metricIndex])]),
    [
      ['cpu', 'cores', [['cpuCores', 0]]],
      ['latency', 'ms', [['writeLatencyMs', 1]]],
    ],
  )
  assert.deepEqual(charts[0]?.times, [NOW, NOW + 10_000])
  assert.deepEqual(chartsOf([]), [])
})

test('several subjects share each chart, in their order', () => {
  const other = view('db, main', { cpuCores: [null, 4], writeLatencyMs: [1, 1], readLatencyMs: [2, 2] }, ['h3', 'h2'])
  const latency = chartsOf([web, other]).find(({ id }) => id === 'latency')
  assert.deepEqual(
    latency?.series.map(({ subject, metric, subjectIndex }) => [subject, metric, subjectIndex]),
    [
      ['web', 'writeLatencyMs', 0],
      ['db, main', 'readLatencyMs', 1],
      ['db, main', 'writeLatencyMs', 1],
    ],
  )
  assert.deepEqual(silentHosts([web, other, other]), ['h2', 'h3'])
  assert.equal(
    csvOf([web, other]).split('\r\n')[0],
    'time,web cpuCores,web readLatencyMs,web writeLatencyMs,"db, main cpuCores","db, main readLatencyMs","db, main writeLatencyMs"',
  )
  assert.equal(csvOf([web, other]).split('\r\n')[2], '2026-11-23T12:00:10.000Z,2,,,4,2,1')
})

test('what a chart says in words leaves gaps out', () => {
  assert.deepEqual(digestOf([1, null, 4, 1, null]), { last: 1, mean: 2, most: 4 })
  assert.equal(digestOf([null]), undefined)
})

test('going back keeps the length, and going forth ends at the present', () => {
  const live = { is: 'live', range: 'hour' } as const
  assert.deepEqual(spanOf(live, NOW), { fromMs: NOW - HOUR, toMs: NOW })
  const back = shifted(live, -1, NOW)
  assert.deepEqual(back, { is: 'fixed', fromMs: NOW - 2 * HOUR, toMs: NOW - HOUR })
  assert.deepEqual(shifted(back, 1, NOW), live)
  const narrow = { is: 'fixed', fromMs: NOW - 900_000, toMs: NOW - 300_000 } as const
  assert.deepEqual(shifted(narrow, 1, NOW), live)
})
