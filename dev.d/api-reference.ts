/** docs/reference/api: the OpenAPI document as pages that can be read without a server, one for each noun. Pure. */

type Json = Readonly<Record<string, any>>

interface Operation {
  readonly method: string
  readonly path: string
  readonly operation: Json
}

/** By file name. */
export function apiReference(document: Json): ReadonlyMap<string, string> {
  const byNoun = new Map<string, Operation[]>()
  for (const [path, methods] of Object.entries(document['paths'] as Json))
    for (const [method, operation] of Object.entries(methods as Json)) {
      const noun = String((operation as Json)['operationId']).split('.')[0] ?? ''
      byNoun.set(noun, [
        ...(byNoun.get(noun) ?? []),
        { method: method.toUpperCase(), path, operation: operation as Json },
      ])
    }
  const nouns = [...byNoun].toSorted(([a], [b]) => a.localeCompare(b))
  const problem = fieldsOf((document['components'] as Json)['schemas']['Problem'] as Json, 0)
  return new Map([
    ['README.md', index(nouns, problem)],
    ...nouns.map(([noun, operations]) => [`${noun}.md`, page(noun, operations)] as const),
  ])
}

const LIST: readonly string[] = ['limit', 'cursor', 'filter', 'fields']
const SHARED = [...LIST, 'Idempotency-Key', 'If-Match']

const WRITTEN =
  '<!-- Written by a test from the contract: STEAD_WRITE_DOCUMENTS=1 ./dev test unit --filter api-reference -->'

function index(nouns: readonly (readonly [string, readonly Operation[]])[], problem: readonly string[]): string {
  const rows = nouns.flatMap(([noun, operations]) =>
    operations.map(({ method, path, operation }) => {
      const id = String(operation['operationId'])
      return `| [\`${id}\`](${noun}.md#${anchor(id)}) | \`${method} ${path}\` | ${operation['summary']} |`
    }),
  )
  return [
    '# The API',
    '',
    WRITTEN,
    '',
    'Every endpoint, what it takes and what it answers; the same as `GET /v1/openapi.json` of a running host (OpenAPI 3.1).',
    'What each needs is in [the matrix of rights](../../operating/access-matrix.md); how changes are sent again, lists read in',
    'parts and streams followed is in [the API and those who follow it](../../internals/api.md).',
    '',
    'Over TCP each request says who asks: `Authorization: Bearer stead-…` with an API token (`stead token create`), or the',
    'cookie of a session. Bodies are JSON. Errors are problem documents (RFC 9457), `application/problem+json`:',
    '',
    ...problem,
    '',
    '## What many endpoints take',
    '',
    ...SHARED.flatMap((name) => sharedParameter(nouns, name)),
    '',
    '## Endpoints',
    '',
    '| endpoint | request | what it does |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function sharedParameter(nouns: readonly (readonly [string, readonly Operation[]])[], name: string): string[] {
  const all = nouns.flatMap(([, operations]) =>
    operations.flatMap(({ operation }) => operation['parameters'] as Json[]),
  )
  const found = all.filter((one) => one['name'] === name)
  return found.slice(0, 1).map(parameter)
}

const anchor = (id: string) => id.replaceAll('.', '')

function page(noun: string, operations: readonly Operation[]): string {
  const told = new Map<string, string>()
  return [`# ${noun}`, '', WRITTEN, '', ...operations.flatMap((operation) => section(operation, told)), ''].join('\n')
}

function section({ method, path, operation }: Operation, told: Map<string, string>): string[] {
  const { operationId: id, summary, parameters = [], requestBody, responses } = operation
  const privilege = operation['x-stead-permission'] as string
  const rights = [
    privilege === 'none' ? '' : `Needs \`${privilege}\`.`,
    operation['x-stead-long'] ? 'Answers with an operation, which goes on.' : '',
  ].filter(Boolean)
  const [status, answer] = Object.entries(responses as Json).find(([code]) => code !== 'default') as [string, Json]
  return [
    `## ${id}`,
    '',
    `${summary}. \`${method} ${path}\``,
    '',
    ...(rights.length === 0 ? [] : [rights.join(' '), '']),
    ...parametersOf(parameters as Json[]),
    ...messageOf(requestBody as Json | undefined, 'Body', `the body of \`${id}\``, told),
    ...messageOf(answer, `Answer ${status}`, `the answer of \`${id}\``, told),
  ]
}

/** Those that every list or change takes are told of once, on the first page. */
function parametersOf(all: readonly Json[]): string[] {
  const isList = all.some(({ name }) => name === 'cursor')
  // Lists that go by time have a `limit` of their own, live views `fields`.
  const isShared = ({ name }: Json) => SHARED.includes(name as string) && (isList || !LIST.includes(name as string))
  const own = all.filter((one) => !isShared(one))
  const shared = all.filter(isShared).map(({ name }) => `\`${name}\``)
  return [
    ...own.map(parameter),
    ...(own.length === 0 ? [] : ['']),
    ...(shared.length === 0
      ? []
      : [`Takes ${shared.join(', ')}: [what these are](README.md#what-many-endpoints-take).`, '']),
  ]
}

function parameter({ name, in: place, required, schema, description }: Json): string {
  const words = [
    typeOf(schema as Json),
    place === 'path' ? 'in the path' : place,
    required && place !== 'path' ? 'required' : '',
  ]
  return `- \`${name}\` (${words.filter(Boolean).join(', ')})${description ? `: ${description}` : ''}`
}

/** What a message holds; of one that was told before, where. */
function messageOf(message: Json | undefined, title: string, name: string, told: Map<string, string>): string[] {
  const content = Object.entries((message?.['content'] ?? {}) as Json)
  if (!message) return []
  if (content.length === 0) return [`${title}: ${message['description'] ?? 'nothing'}.`, '']
  return content.flatMap(([media, { schema }]) => {
    const of = media === 'application/json' ? title : `${title}, \`${media}\``
    const key = JSON.stringify(schema)
    const earlier = told.get(key)
    if (earlier !== undefined) return [`${of}: as ${earlier}.`, '']
    if (key !== undefined && key.length > 400) told.set(key, name)
    const fields = schema ? fieldsOf(schema as Json, 0) : []
    return fields.length === 0
      ? [`${of}: ${schema ? typeOf(schema as Json) : 'bytes'}.`, '']
      : [`${of}:`, '', ...fields, '']
  })
}

const DEPTH_MAX = 6

/** A line for each field, those within it below. */
function fieldsOf(schema: Json, depth: number): string[] {
  if (depth > DEPTH_MAX) return []
  const indent = '  '.repeat(depth)
  const choices = (schema['oneOf'] ?? schema['anyOf']) as readonly Json[] | undefined
  if (choices && choices.filter(hasFields).length > 1)
    return choices.filter(hasFields).flatMap((choice) => {
      const kind = Object.entries((choice['properties'] ?? {}) as Json).find(([, value]) => 'const' in (value as Json))
      const head = kind ? `${indent}- where \`${kind[0]}\` is \`${(kind[1] as Json)['const']}\`:` : `${indent}- or:`
      return [head, ...fieldsOf(choice, depth + 1)]
    })
  if (choices) return choices.flatMap((choice) => fieldsOf(choice, depth))
  if (schema['type'] === 'array') return fieldsOf((schema['items'] ?? {}) as Json, depth)
  const required = new Set((schema['required'] ?? []) as string[])
  const fields = Object.entries((schema['properties'] ?? {}) as Json).flatMap(([name, value]) => {
    const field = value as Json
    const words = [typeOf(field), required.has(name) ? '' : 'optional', defaultOf(field)].filter(Boolean).join(', ')
    const description = field['description'] ? `: ${field['description']}` : ''
    return [`${indent}- \`${name}\` (${words})${description}`, ...fieldsOf(field, depth + 1)]
  })
  const { additionalProperties } = schema
  return typeof additionalProperties === 'object'
    ? [...fields, ...fieldsOf(additionalProperties as Json, depth)]
    : fields
}

function hasFields(schema: Json): boolean {
  return schema['properties'] !== undefined
}

function defaultOf(schema: Json): string {
  return 'default' in schema ? `default \`${JSON.stringify(schema['default'])}\`` : ''
}

function typeOf(schema: Json): string {
  if ('const' in schema) return `\`${JSON.stringify(schema['const'])}\``
  if (Array.isArray(schema['enum'])) return schema['enum'].map((one) => `\`${String(one)}\``).join(' ')
  const choices = (schema['oneOf'] ?? schema['anyOf']) as readonly Json[] | undefined
  if (choices) return [...new Set(choices.map(typeOf))].join(' or ')
  if (schema['type'] === 'array') return `list of ${typeOf((schema['items'] ?? {}) as Json)}`
  const bounds = [
    schema['minimum'] === undefined || schema['minimum'] <= -Number.MAX_SAFE_INTEGER
      ? ''
      : `at least ${schema['minimum']}`,
    schema['maximum'] === undefined || schema['maximum'] >= Number.MAX_SAFE_INTEGER
      ? ''
      : `at most ${schema['maximum']}`,
    schema['maxLength'] === undefined ? '' : `at most ${schema['maxLength']} characters`,
  ].filter(Boolean)
  const type = schema['type'] as string | readonly string[] | undefined
  return [type === undefined ? 'anything' : [type].flat().join(' or '), ...bounds].join(' ')
}
