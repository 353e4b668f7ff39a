/** The types of `@stead/client` as it is installed: what each endpoint takes and answers, without the schemas. */
import { z } from 'zod'
import type { Endpoint } from './endpoint.ts'
import { ALL_ENDPOINTS } from './endpoints.ts'
import { listQuerySchema, nextSchema } from './list-query.ts'

type Json = Readonly<Record<string, unknown>>

/** In place of `packages/client/src/endpoint-types.ts`. */
export function endpointTypes(): string {
  const lines = ALL_ENDPOINTS.filter(({ websocket }) => !websocket).map(
    (endpoint) =>
      `  /** ${endpoint.summary}. */\n  readonly ${JSON.stringify(endpoint.id)}: {\n` +
      `    readonly input: ${inputOf(endpoint)}\n    readonly answer: ${answerOf(endpoint)}\n` +
      `    readonly event: ${endpoint.item ? typeOf(schemaOf(endpoint.item, 'output')) : 'undefined'}\n  }`,
  )
  return [
    '/** A file to send; it is opened again when another host must be tried. */',
    'export interface UploadSource { readonly sizeBytes: number; open(): Blob | AsyncIterable<Uint8Array> }',
    `export interface Endpoints {\n${lines.join('\n')}\n}\n`,
  ].join('\n')
}

function inputOf({ params, query, body, upload, listedBy }: Endpoint): string {
  const asked = listedBy ? (query ?? z.strictObject({})).extend(listQuerySchema.shape) : query
  const parts = [
    ...(params ? [`readonly params: ${typeOf(schemaOf(params, 'input'))}`] : []),
    // Only what has no default must be given.
    ...(asked ? [`readonly query?: ${typeOf(schemaOf(asked.partial(), 'input'))}`] : []),
    ...(body ? [`readonly body: ${typeOf(schemaOf(body, 'input'))}`] : []),
    ...(upload ? ['readonly upload: UploadSource'] : []),
  ]
  return parts.length === 0 ? '{}' : `{ ${parts.join('; ')} }`
}

function answerOf({ response, listedBy, status, media, streams }: Endpoint): string {
  if (status === 204) return 'undefined'
  if (media !== undefined || streams === 'text') return 'string'
  return typeOf(schemaOf(listedBy ? (response as z.ZodObject).extend({ next: nextSchema }) : response, 'output'))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  return z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as Json
}

/** Of what zod makes; what it does not know is `unknown`. */
export function typeOf(schema: Json): string {
  if ('const' in schema) return JSON.stringify(schema['const'])
  const { type, enum: choices, anyOf, oneOf, allOf, items, prefixItems, properties, additionalProperties } = schema
  if (Array.isArray(choices)) return choices.map((choice) => JSON.stringify(choice)).join(' | ') || 'never'
  const several = (anyOf ?? oneOf) as readonly Json[] | undefined
  if (several) return several.map((one) => `(${typeOf(one)})`).join(' | ')
  if (Array.isArray(allOf)) return (allOf as readonly Json[]).map((one) => `(${typeOf(one)})`).join(' & ')
  if (Array.isArray(type)) return type.map((one) => typeOf({ ...schema, type: one as string })).join(' | ')
  switch (type) {
    case 'string':
    case 'boolean':
    case 'null':
      return type
    case 'number':
    case 'integer':
      return 'number'
    case 'array':
      if (Array.isArray(prefixItems)) return `readonly [${(prefixItems as readonly Json[]).map(typeOf).join(', ')}]`
      return `readonly (${items ? typeOf(items as Json) : 'unknown'})[]`
    case 'object':
      return objectOf(properties as Json | undefined, new Set(schema['required'] as string[]), additionalProperties)
    default:
      return 'unknown'
  }
}

function objectOf(properties: Json = {}, required: ReadonlySet<string>, others: unknown): string {
  const fields = Object.entries(properties).map(([name, property]) => {
    const text = (property as Json)['description']
    const comment = typeof text === 'string' ? `/** ${text.replaceAll('*/', '* /')} */ ` : ''
    return `${comment}readonly ${JSON.stringify(name)}${required.has(name) ? '' : '?'}: ${typeOf(property as Json)}`
  })
  if (fields.length > 0) return `{ ${fields.join('; ')} }`
  return typeof others === 'object' && others !== null ? `Readonly<Record<string, ${typeOf(others as Json)}>>` : '{}'
}
