import { noContent } from './parameters.ts'
import { z } from 'zod'
import { EVENT_KINDS } from '@stead/core/model/event.ts'
import { endpoint } from '../endpoint.ts'
import { eventSchema } from '../records.ts'
import { clusterViewSchema } from '../cluster-view.ts'
import { eventExplanationSchema, hostExplanationSchema, hostViewSchema, operationViewSchema } from '../views.ts'
import { acceptBreach, started, startedWithWarnings } from './answers.ts'
import { hostParams, queryBoolean, queryInteger } from './parameters.ts'

const domainLabel = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes')

export const CLUSTER_ENDPOINTS = {
  'cluster.show': endpoint({
    id: 'cluster.show',
    method: 'GET',
    path: '/v1/cluster',
    summary: 'Show the cluster',
    permission: 'cluster.view',
    on: 'cluster',
    response: clusterViewSchema,
    status: 200,
  }),
  'cluster.failover': endpoint({
    id: 'cluster.failover',
    method: 'POST',
    path: '/v1/failover',
    summary: 'Confirm that a host is dead, so that its guests move',
    permission: 'cluster.failover',
    on: 'cluster',
    body: z.strictObject({
      confirmDead: z.string().describe('The host; a person has made sure that it is off and stays off'),
    }),
    response: started,
    status: 202,
    long: true,
    whatIf: 'none',
    // The store may have to be started anew, with one member.
    answerWithinMs: 30_000,
    worksWithoutStore: true,
  }),
  'cluster.recover': endpoint({
    id: 'cluster.recover',
    method: 'POST',
    path: '/v1/recovery',
    summary: 'Go on with this host alone, since all other members are lost for ever; only as root of the host itself',
    permission: 'cluster.failover',
    on: 'cluster',
    body: z.strictObject({
      lost: z.array(z.string()).describe('Every other member, by name; a person has made sure that none comes back'),
      giveUpSecrets: z.boolean().default(false).describe('Go on although the secrets of the cluster do not open'),
      check: z.boolean().default(false).describe('Tell what would be left, and change nothing'),
    }),
    response: z.object({
      host: z.string(),
      lost: z.array(z.string()),
      done: z.boolean(),
      secrets: z
        .enum(['kept', 'given-up', 'locked', 'unknown'])
        .describe('`locked`: they do not open here; `unknown`: the host has not read its records since it began'),
      guests: z
        .array(z.object({ name: z.string(), copies: z.enum(['current', 'stale', 'none']), text: z.string() }))
        .nullable()
        .describe('What each has left on this host; null while `secrets` is `unknown`'),
    }),
    status: 200,
    unrecorded: true,
    whatIf: 'none',
    // The store is started anew, and the records are read.
    answerWithinMs: 120_000,
    worksWithoutStore: true,
  }),
  'host.list': endpoint({
    id: 'host.list',
    method: 'GET',
    path: '/v1/hosts',
    summary: 'List the hosts',
    permission: 'host.view',
    on: 'hosts',
    response: z.object({ items: z.array(hostViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'host.show': endpoint({
    id: 'host.show',
    method: 'GET',
    path: '/v1/hosts/{host}',
    summary: 'Show a host',
    permission: 'host.view',
    on: 'host',
    params: hostParams,
    response: hostViewSchema,
    status: 200,
  }),
  'host.drain': endpoint({
    id: 'host.drain',
    method: 'POST',
    path: '/v1/hosts/{host}/drain',
    summary: 'Move all guests off a host and keep it free',
    permission: 'host.drain',
    on: 'host',
    params: hostParams,
    body: z.strictObject({ acceptBreach }),
    response: startedWithWarnings,
    status: 202,
    long: true,
  }),
  'host.undrain': endpoint({
    id: 'host.undrain',
    method: 'POST',
    path: '/v1/hosts/{host}/undrain',
    summary: 'Let a host run guests again',
    permission: 'host.drain',
    on: 'host',
    params: hostParams,
    response: started,
    status: 202,
    long: true,
  }),
  'host.invite': endpoint({
    id: 'host.invite',
    method: 'POST',
    path: '/v1/host-invitations',
    summary: 'Make a token by which one more host can join, once',
    permission: 'cluster.configure',
    on: 'cluster',
    body: z.strictObject({
      role: z.enum(['compute', 'witness']).default('compute'),
      minutes: z.number().int().min(1).max(1440).default(60).describe('How long the token is valid'),
    }),
    response: z.object({ token: z.string(), role: z.enum(['compute', 'witness']), expiresAt: z.string() }),
    unrecorded: true,
    status: 201,
    whatIf: 'none',
  }),
  'host.remove': endpoint({
    id: 'host.remove',
    method: 'DELETE',
    path: '/v1/hosts/{host}',
    summary: 'Remove a host for good, and revoke its certificate at once',
    permission: 'cluster.configure',
    on: 'host',
    params: hostParams,
    response: noContent,
    unrecorded: true,
    status: 204,
    whatIf: 'none',
    // The store may elect first, when the host led it.
    answerWithinMs: 30_000,
  }),
  'host.set': endpoint({
    id: 'host.set',
    method: 'PATCH',
    path: '/v1/hosts/{host}',
    summary: "Change a host's settings",
    permission: 'host.configure',
    on: 'host',
    params: hostParams,
    body: z.strictObject({
      faultDomains: z
        .record(
          domainLabel.refine((kind) => kind !== 'host', 'must not be `host`, which is each host by itself'),
          domainLabel.nullable(),
        )
        .optional()
        .describe('Kind and name of what the host can fail with (`rack`: `r1`); null takes one away, others stay'),
    }),
    response: hostViewSchema,
    status: 200,
  }),
  'host.shutdown': endpoint({
    id: 'host.shutdown',
    method: 'POST',
    path: '/v1/hosts/{host}/shutdown',
    summary: "Stop or move a host's guests as the policy says, so that it may be switched off",
    permission: 'host.shutdown',
    on: 'host',
    params: hostParams,
    body: z.strictObject({
      how: z
        .enum(['power-off', 'reboot'])
        .default('power-off')
        .describe('What follows; the policy may tell them apart'),
      acceptBreach,
    }),
    response: startedWithWarnings,
    status: 202,
    long: true,
  }),
  'host.cancel-shutdown': endpoint({
    id: 'host.cancel-shutdown',
    method: 'POST',
    path: '/v1/hosts/{host}/cancel-shutdown',
    summary: 'Call off the shutdown of a host',
    permission: 'host.shutdown',
    on: 'host',
    params: hostParams,
    response: started,
    status: 202,
    long: true,
  }),
  'host.cut-power': endpoint({
    id: 'host.cut-power',
    method: 'POST',
    path: '/v1/hosts/{host}/cut-power',
    summary: "Pull a host's plug, where a device does that: in a lab",
    permission: 'cluster.failover',
    on: 'host',
    params: hostParams,
    response: started,
    status: 202,
    long: true,
  }),
  'host.restore-power': endpoint({
    id: 'host.restore-power',
    method: 'POST',
    path: '/v1/hosts/{host}/restore-power',
    summary: 'Put the plug of a host in again, so that it boots',
    permission: 'cluster.failover',
    on: 'host',
    params: hostParams,
    response: started,
    status: 202,
    long: true,
    answerWithinMs: 30_000,
  }),
  'host.explain': endpoint({
    id: 'host.explain',
    method: 'GET',
    path: '/v1/hosts/{host}/explanation',
    summary: "Explain a host's state and what it means for guests",
    permission: 'host.view',
    on: 'host',
    params: hostParams,
    response: hostExplanationSchema,
    status: 200,
  }),
  'event.explain': endpoint({
    id: 'event.explain',
    method: 'GET',
    path: '/v1/events/{event}/explanation',
    summary: 'Explain an event: the decision behind it, and what came before',
    permission: 'event.view',
    on: 'event',
    params: z.strictObject({ event: z.string().describe("The event's id") }),
    response: eventExplanationSchema,
    status: 200,
  }),
  'event.list': endpoint({
    id: 'event.list',
    method: 'GET',
    path: '/v1/events',
    summary: 'List what happened in the cluster',
    permission: 'event.view',
    on: 'events',
    query: z.strictObject({
      since: z.string().optional().describe("ISO 8601 time, or an event's id: only what came after it"),
      kinds: z
        .string()
        .optional()
        .refine(
          (text) =>
            text === undefined || text.split(',').every((kind) => (EVENT_KINDS as readonly string[]).includes(kind)),
          `must be kinds separated by commas, of ${EVENT_KINDS.join(', ')}`,
        )
        .describe('Only these kinds, separated by commas'),
      limit: queryInteger(1, 10_000).optional().describe('At most so many, the newest; default 1000'),
      follow: queryBoolean
        .optional()
        .describe('Go on as server-sent events; with an upgrade, as messages of a WebSocket'),
    }),
    response: z.object({ items: z.array(eventSchema).describe('Oldest first') }),
    streams: 'events',
    item: eventSchema,
    status: 200,
  }),
  'operation.list': endpoint({
    id: 'operation.list',
    method: 'GET',
    path: '/v1/operations',
    summary: 'List the operations',
    permission: 'operation.view',
    on: 'operations',
    response: z.object({ items: z.array(operationViewSchema).describe('Newest first') }),
    listedBy: ['id'],
    status: 200,
  }),
  'operation.show': endpoint({
    id: 'operation.show',
    method: 'GET',
    path: '/v1/operations/{operation}',
    summary: 'Show an operation',
    permission: 'operation.view',
    on: 'operation',
    params: z.strictObject({ operation: z.string().describe("The operation's id") }),
    query: z.strictObject({
      waitMs: queryInteger(0, 30_000)
        .optional()
        .describe('Answer when its state or progress changes, or after this long, ms'),
    }),
    response: operationViewSchema,
    status: 200,
  }),
  'openapi.show': endpoint({
    id: 'openapi.show',
    method: 'GET',
    path: '/v1/openapi.json',
    summary: 'Show this API as an OpenAPI 3.1 document',
    permission: 'none',
    on: 'self',
    response: z.record(z.string(), z.unknown()),
    status: 200,
  }),
} as const
