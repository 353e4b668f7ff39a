/** What hosts measured of themselves, of their pools and of guests; docs/operating/metrics.md. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { guestParams, hostParams, queryInteger } from './parameters.ts'

const STEP_MS_MIN = 10_000
const STEP_MS_MAX = 366 * 24 * 3_600_000

const moment = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-12-31T12:00:00Z' })
const silent = z.array(z.string()).describe('Hosts that are down or did not answer: what they measured is missing here')

const span = z.strictObject({
  from: moment.optional().describe('An hour before `to` when absent'),
  to: moment.optional().describe('Not part of it; now when absent'),
  stepMs: queryInteger(STEP_MS_MIN, STEP_MS_MAX)
    .optional()
    .describe('How long each figure is the mean of; what suits a chart when absent. It becomes longer where need be'),
})

const seriesSchema = z
  .record(z.string(), z.array(z.number().nullable()))
  .describe('By metric, one figure a step, the oldest first; null: nobody measured it then')

export const metricsViewSchema = z.object({
  subject: z.string().describe('The name of the guest, host or pool'),
  from: z.string().describe('When the first step begins'),
  to: z.string().describe('When the last one ends'),
  stepMs: z.number(),
  metrics: z
    .array(z.object({ name: z.string(), unit: z.string(), meaning: z.string() }))
    .describe('What is measured; docs/operating/metrics.md'),
  series: seriesSchema,
  hosts: z.array(z.string()).describe('Whose figures these are'),
  silent,
})
export type MetricsView = z.output<typeof metricsViewSchema>

export const storageLoadSchema = z.object({
  host: z.string(),
  pool: z.string(),
  nowRatio: z.number().nullable().describe('Part of the last ten seconds in which it had a request to serve'),
  meanRatio: z.number().nullable().describe('The same of the last quarter of an hour; null before the second look'),
  level: z.enum(['calm', 'busy', 'unknown']).describe('`busy`: the mean is above the line'),
  readsPerSecond: z.number().nullable(),
  writesPerSecond: z.number().nullable(),
  readBytesPerSecond: z.number().nullable(),
  writtenBytesPerSecond: z.number().nullable(),
  readLatencyMs: z.number().nullable(),
  writeLatencyMs: z.number().nullable(),
  causes: z
    .array(z.object({ guest: z.string(), id: z.string(), share: z.number() }))
    .describe('Who asks it for what, as a part of all; the largest first'),
  othersShare: z.number().describe('What no guest asked for: replicas brought up to date, snapshots, copies, the host'),
})
export type StorageLoadView = z.output<typeof storageLoadSchema>

export const METRIC_ENDPOINTS = {
  'guest.metrics': endpoint({
    ...{ id: 'guest.metrics', method: 'GET', path: '/v1/guests/{guest}/metrics' },
    summary: 'Show what a guest used over time, wherever it ran',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    query: span,
    response: metricsViewSchema,
    status: 200,
  }),
  'host.metrics': endpoint({
    ...{ id: 'host.metrics', method: 'GET', path: '/v1/hosts/{host}/metrics' },
    summary: 'Show what a host used over time',
    permission: 'host.view',
    on: 'host',
    params: hostParams,
    query: span,
    response: metricsViewSchema,
    status: 200,
  }),
  'pool.metrics': endpoint({
    ...{ id: 'pool.metrics', method: 'GET', path: '/v1/hosts/{host}/pools/{pool}/metrics' },
    summary: 'Show what a pool of a host had to do over time',
    permission: 'host.view',
    on: 'host',
    params: hostParams.extend({ pool: z.string().describe("The pool's name") }),
    query: span,
    response: metricsViewSchema,
    status: 200,
  }),
  'storage.load': endpoint({
    ...{ id: 'storage.load', method: 'GET', path: '/v1/storage-load' },
    summary: 'Show how busy the pools are, and which guests cause it',
    permission: 'host.view',
    on: 'cluster',
    listedBy: ['host', 'pool'],
    response: z.object({
      lineRatio: z.number().describe('Above it guests begin to wait for each other'),
      items: z.array(storageLoadSchema),
      silent,
    }),
    status: 200,
  }),
  'metrics.scrape': endpoint({
    ...{ id: 'metrics.scrape', method: 'GET', path: '/v1/metrics' },
    summary: 'Tell Prometheus what this host and its guests use, and what the cluster is like; also at /metrics',
    permission: 'cluster.view',
    on: 'cluster',
    response: z.string().describe('Text, version 0.0.4 of its format'),
    streams: 'text',
    media: 'text/plain; version=0.0.4; charset=utf-8',
    status: 200,
  }),
} as const
