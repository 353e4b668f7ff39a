/** The contract as an OpenAPI 3.1 document. */
import { z } from 'zod'
import { FAILURES } from '@stead/core/errors.ts'
import { isRead, isRecorded, revisedObjectOf, type Endpoint } from './endpoint.ts'
import { ALL_ENDPOINTS } from './endpoints.ts'
import { listQuerySchema, nextSchema } from './list-query.ts'
import { PROBLEM_MEDIA_TYPE } from './errors.ts'
import { problemSchema } from './problem-schema.ts'

type Json = Record<string, unknown>

export function openApiDocument(): Json {
  const paths: Record<string, Json> = {}
  for (const endpoint of ALL_ENDPOINTS) {
    const path = (paths[endpoint.path] ??= {})
    path[endpoint.method.toLowerCase()] = operationOf(endpoint)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Stead',
      version: '1',
      description: 'High-availability virtualization. Errors are problem documents (RFC 9457).',
      license: { name: 'AGPL-3.0-or-later', identifier: 'AGPL-3.0-or-later' },
    },
    paths,
    components: {
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: '__Host-stead-session' },
      },
    },
    security: [{ bearer: [] }, { session: [] }],
  }
}

function operationOf(endpoint: Endpoint): Json {
  return {
    operationId: endpoint.id,
    summary: endpoint.summary,
    'x-stead-permission': endpoint.permission,
    'x-stead-on': endpoint.on,
    // A WebSocket's ticket is all that it shows.
    ...(endpoint.websocket || endpoint.public ? { security: [] } : {}),
    ...(endpoint.long ? { 'x-stead-long': true } : {}),
    parameters: [
      ...parametersOf(endpoint.params, 'path'),
      ...parametersOf(endpoint.query, 'query'),
      ...(endpoint.listedBy ? parametersOf(listQuerySchema, 'query') : []),
      ...(isRecorded(endpoint) ? [IDEMPOTENCY_PARAMETER] : []),
      ...(!isRead(endpoint) && revisedObjectOf(endpoint) ? [IF_MATCH_PARAMETER] : []),
    ],
    ...requestBodyOf(endpoint),
    responses: {
      [endpoint.status]: responseOf(endpoint),
      default: {
        description: `A problem: ${Object.keys(FAILURES).join(', ')}`,
        content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}

const IDEMPOTENCY_PARAMETER: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'A UUID made by the client; a repeated request with the same key is done once, and answered as the first',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
}
const IF_MATCH_PARAMETER: Json = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'An ETag: the change is made only if the object still has that revision, else the answer is 412',
  schema: { type: 'string', maxLength: 256 },
}
const ETAG_HEADER: Json = { description: "The object's revision, for If-Match", schema: { type: 'string' } }

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  if (!schema) return []
  const { properties = {}, required = [] } = jsonSchema(schema, 'output') as {
    properties?: Record<string, Json>
    required?: readonly string[]
  }
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(typeof property['description'] === 'string' ? { description: property['description'] } : {}),
    schema: property,
  }))
}

function requestBodyOf(endpoint: Endpoint): Json {
  if (endpoint.upload) return { requestBody: { required: true, content: { 'application/octet-stream': {} } } }
  if (!endpoint.body) return {}
  return {
    requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(endpoint.body, 'input') } } },
  }
}

function responseOf(endpoint: Endpoint): Json {
  if (endpoint.status === 204) return { description: 'Done' }
  if (endpoint.websocket) return { description: 'A WebSocket; binary messages are the bytes' }
  if (endpoint.media) return { description: 'Bytes', content: { [endpoint.media]: { schema: { type: 'string' } } } }
  if (endpoint.streams === 'text') {
    return { description: 'Bytes as they came', content: { 'text/plain': { schema: { type: 'string' } } } }
  }
  const json = { 'application/json': { schema: jsonSchema(responseSchema(endpoint), 'output') } }
  const hasRevision = endpoint.response instanceof z.ZodObject && 'revision' in endpoint.response.shape
  const headers = hasRevision ? { headers: { ETag: ETAG_HEADER } } : {}
  if (!endpoint.item) return { description: 'Done', ...headers, content: json }
  const stream = { 'text/event-stream': { schema: jsonSchema(endpoint.item, 'output') } }
  return {
    description: 'Done; with follow=true a stream of events; upgraded to a WebSocket, each item is a message',
    content: { ...json, ...stream },
  }
}

function responseSchema({ response, listedBy }: Endpoint): z.ZodType {
  return listedBy ? (response as z.ZodObject).extend({ next: nextSchema }) : response
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' }) as Json
  return rest
}
