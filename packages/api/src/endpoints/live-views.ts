import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { clusterViewSchema } from '../cluster-view.ts'
import { guestViewSchema, hostViewSchema, operationViewSchema, volumeViewSchema } from '../views.ts'
import { queryBoolean } from './parameters.ts'

/** What is followed, and what shows it. */
export const LIVE_KINDS = {
  cluster: clusterViewSchema,
  host: hostViewSchema,
  guest: guestViewSchema,
  volume: volumeViewSchema,
  operation: operationViewSchema,
} as const
export type LiveKind = keyof typeof LIVE_KINDS

const kindNames = Object.keys(LIVE_KINDS).join(', ')

const changeOf = <Kind extends LiveKind>(kind: Kind) =>
  z.object({
    kind: z.literal(kind),
    id: z.string().describe('Of guests, volumes and operations the id, of hosts the name, of the cluster `cluster`'),
    view: (LIVE_KINDS[kind] as (typeof LIVE_KINDS)[Kind]).partial().nullable().describe('Null: it is gone'),
  })

export const liveChangeSchema = z.discriminatedUnion('kind', [
  changeOf('cluster'),
  changeOf('host'),
  changeOf('guest'),
  changeOf('volume'),
  changeOf('operation'),
])
export type LiveChange = z.output<typeof liveChangeSchema>

export const liveBatchSchema = z.object({
  id: z.string().describe('Where the changes go on: `since`'),
  reset: z.boolean().describe('What was told before counts no more'),
  complete: z.boolean().describe('With this batch everything has been told that is so now'),
  changes: z.array(liveChangeSchema),
})
export type LiveBatch = z.output<typeof liveBatchSchema>

/** `guest.name`: of views of that kind only the fields that are named. */
const isField = (text: string) => {
  const [kind = '', field = '', ...rest] = text.split('.')
  return (
    rest.length === 0 && Object.hasOwn(LIVE_KINDS, kind) && Object.hasOwn(LIVE_KINDS[kind as LiveKind].shape, field)
  )
}

export const LIVE_VIEW_ENDPOINTS = {
  'view.list': endpoint({
    id: 'view.list',
    method: 'GET',
    path: '/v1/views',
    summary: 'Show the cluster, hosts, guests, volumes and operations at once, and follow what changes of them',
    permission: 'none',
    on: 'views',
    query: z.strictObject({
      kinds: z
        .string()
        .optional()
        .refine(
          (text) => text === undefined || text.split(',').every((kind) => Object.hasOwn(LIVE_KINDS, kind)),
          `must be kinds separated by commas, of ${kindNames}`,
        )
        .describe(`Only these kinds, separated by commas, of ${kindNames}`),
      fields: z
        .string()
        .optional()
        .refine(
          (text) => text === undefined || text.split(',').every(isField),
          'must be fields separated by commas, each with its kind, as `guest.name,guest.state`',
        )
        .describe('Of a kind that is named here only these fields, as `guest.name,guest.state`; others come whole'),
      since: z.string().optional().describe('The id of the last batch that was received: only what changed after it'),
      follow: queryBoolean
        .optional()
        .describe('Go on as server-sent events; with an upgrade, as messages of a WebSocket'),
    }),
    response: liveBatchSchema,
    streams: 'events',
    item: liveBatchSchema,
    status: 200,
  }),
} as const
