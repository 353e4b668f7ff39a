/**
 * Requests made up from the OpenAPI document: most as it says, others broken on purpose. The same seed gives the same
 * requests.
 */
import { openApiDocument } from '@stead/api/openapi.ts'
import type { SeededRandom } from '@stead/sim/seeded-random.ts'
import fastCheck from 'fast-check'

export interface MadeRequest {
  readonly operation: string
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

type Schema = Readonly<Record<string, unknown>>

interface Operation {
  readonly operationId: string
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> }
}

/** What names and ids are likely to be, by the parameter or field that holds them. */
export type KnownNames = Readonly<Record<string, readonly string[]>>

const BROKEN_PART = 0.35
const DEPTH_MAX = 6
const SAMPLES = 50
const ODD_TEXTS = [
  ...['', ' ', '\0', '..', '../../etc/passwd', '%2e%2e%2f', '/', '//', '.', '-', '\u202e', '💥', 'ä'.repeat(64)],
  ...[
    'x'.repeat(300),
    'x'.repeat(70_000),
    '__proto__',
    'constructor',
    'null',
    '[object Object]',
    '1e309',
    "' OR 1=1 --",
  ],
  ...['\r\nX-Injected: 1', '${7*7}', '<script>', '{"a":1}', 'true', '0', '-1', '00000000-0000-0000-0000-000000000000'],
]
const ODD_BODIES = [
  ...['', '{', 'null', '[]', '""', '1', '{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"x":1}}}', '\0'],
  ...[`${'['.repeat(20_000)}${']'.repeat(20_000)}`, `{"a":"${'x'.repeat(900_000)}"}`, '{"a":1e999}', '{"a":1,"a":2}'],
]
/** Waiting is not what is tried out. */
const NO_WAITING = new Set(['waitMs', 'follow'])

export class RequestGenerator {
  readonly #random: SeededRandom
  readonly #names: KnownNames
  readonly #samples = new Map<string, readonly string[]>()
  readonly #operations: readonly { readonly path: string; readonly method: string; readonly operation: Operation }[]

  constructor(random: SeededRandom, names: KnownNames, isWanted: (operation: string) => boolean) {
    this.#random = random
    this.#names = names
    const paths = openApiDocument()['paths'] as Record<string, Record<string, Operation>>
    this.#operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { operationId }]) => isWanted(operationId))
        .map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    )
  }

  next(): MadeRequest {
    const { path, method, operation } = this.#pick(this.#operations)
    const query = new URLSearchParams()
    let filled: string = path
    for (const { name, in: place, schema } of operation.parameters) {
      if (place === 'path') filled = filled.replace(`{${name}}`, () => encodeURIComponent(this.#text(name, schema)))
      else if (place === 'query' && !NO_WAITING.has(name) && this.#chance(0.4))
        query.set(name, this.#isBroken() ? this.#pick(ODD_TEXTS) : asText(this.#value(schema, name, 0)))
    }
    if (this.#chance(0.02)) query.set(this.#pick(ODD_TEXTS), this.#pick(ODD_TEXTS))
    if (this.#chance(0.01)) filled = `${filled}${this.#pick(['/', '%', '%zz', '%00', '/../..', '//', '?', ';x=1'])}`
    const search = query.size === 0 ? '' : `?${query.toString()}`
    const body = this.#body(operation)
    const isFile = operation.requestBody?.content['application/octet-stream'] !== undefined
    const headers = {
      ...(body === undefined ? {} : { 'content-type': isFile ? 'application/octet-stream' : 'application/json' }),
      ...this.#oddHeaders(),
    }
    return {
      operation: operation.operationId,
      method: this.#chance(0.01) ? this.#pick(['PUT', 'PATCH', 'OPTIONS', 'POST']) : method,
      path: `${filled}${search}`,
      headers,
      ...(body === undefined ? {} : { body }),
    }
  }

  #oddHeaders(): Record<string, string> {
    const odd: Record<string, string> = {}
    if (this.#chance(0.05)) odd['idempotency-key'] = this.#pick(['', 'k', 'k2', 'x'.repeat(129), 'x'.repeat(4_000)])
    if (this.#chance(0.05)) odd['if-match'] = this.#pick(['"1"', '*', 'W/"2"', '"', 'x'.repeat(500)])
    if (this.#chance(0.02))
      odd['content-type'] = this.#pick(['text/plain', '', 'application/json; charset=utf-16', '/'])
    if (this.#chance(0.05)) odd['x-stead-what-if'] = 'yes'
    return odd
  }

  #body({ requestBody }: Operation): string | undefined {
    if (!requestBody) return this.#chance(0.02) ? this.#pick(ODD_BODIES) : undefined
    const { schema } = Object.values(requestBody.content)[0] ?? {}
    if (!schema) return this.#pick(['', 'some bytes'])
    if (this.#chance(0.08)) return this.#pick(ODD_BODIES)
    return JSON.stringify(this.#value(schema, '', 0))
  }

  #text(name: string, schema: Schema): string {
    const known = this.#names[name]
    if (known && this.#chance(0.8)) return this.#pick(known)
    return this.#isBroken() ? this.#pick(ODD_TEXTS.filter(Boolean)) : asText(this.#value(schema, name, 0))
  }

  #value(schema: Schema, name: string, depth: number): unknown {
    if (this.#chance(0.03)) return this.#odd()
    const known = this.#names[name]
    if (known && this.#chance(0.6)) return this.#pick(known)
    if ('const' in schema) return schema['const']
    if (Array.isArray(schema['enum'])) return this.#pick(schema['enum'])
    const choices = (schema['anyOf'] ?? schema['oneOf']) as readonly Schema[] | undefined
    if (choices) return this.#value(this.#pick(choices), name, depth)
    const parts = schema['allOf'] as readonly Schema[] | undefined
    if (parts) return Object.assign({}, ...parts.map((part) => this.#value(part, name, depth)))
    switch (schema['type']) {
      case 'object':
        return this.#object(schema, depth)
      case 'array': {
        if (depth > DEPTH_MAX) return []
        const count = Math.floor(this.#random.fraction() * 3)
        return Array.from({ length: count }, () => this.#value((schema['items'] ?? {}) as Schema, name, depth + 1))
      }
      case 'integer':
      case 'number':
        return this.#number(schema)
      case 'boolean':
        return this.#chance(0.5)
      case 'null':
        return null
      case 'string':
        return this.#string(schema)
      default:
        return this.#odd()
    }
  }

  #object(schema: Schema, depth: number): Record<string, unknown> {
    const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>
    const required = new Set((schema['required'] ?? []) as readonly string[])
    const made: Record<string, unknown> = {}
    for (const [name, property] of Object.entries(properties)) {
      const isThere = required.has(name) ? !this.#chance(0.03) : depth <= DEPTH_MAX && this.#chance(0.3)
      if (isThere) made[name] = this.#value(property, name, depth + 1)
    }
    const more = schema['additionalProperties']
    if (typeof more === 'object' && more !== null && this.#chance(0.5))
      made[this.#pick(['a', 'rack', '0', 'tag'])] = this.#value(more as Schema, '', depth + 1)
    if (this.#chance(0.02)) made[this.#pick(['extra', '', 'toString', '\u0000'])] = this.#odd()
    return made
  }

  #number({ minimum = -10, maximum = 2 ** 40, multipleOf = 1 }: Schema): number {
    const [least, most, step] = [Number(minimum), Math.min(Number(maximum), 2 ** 42), Number(multipleOf)]
    if (this.#isBroken() && this.#chance(0.3)) return this.#pick([0, -1, 0.5, 1e21, 2 ** 53, -0, least - 1, most + 1])
    // Small ones are what an administrator would ask for.
    const span = this.#chance(0.7) ? Math.min(most - least, 64 * step) : most - least
    return Math.max(least, Math.floor((least + this.#random.fraction() * span) / step) * step)
  }

  #string({ pattern, maxLength }: Schema): string {
    if (this.#isBroken() && this.#chance(0.3)) return this.#pick(ODD_TEXTS)
    if (typeof pattern === 'string') return this.#pick(this.#matching(pattern))
    return `x${this.#random.uuid()}`.slice(0, Math.min(Number(maxLength ?? 12), 12))
  }

  #matching(pattern: string): readonly string[] {
    const known = this.#samples.get(pattern)
    if (known) return known
    const seed = Math.floor(this.#random.fraction() * 2 ** 31)
    const made = samplesOf(pattern, seed)
    this.#samples.set(pattern, made)
    return made
  }

  #odd(): unknown {
    return this.#pick<unknown>([null, true, 0, -1, 1.5, 'x', [], {}, [[]], { a: {} }, ...ODD_TEXTS])
  }

  #isBroken(): boolean {
    return this.#chance(BROKEN_PART)
  }

  #chance(part: number): boolean {
    return this.#random.fraction() < part
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random.fraction() * items.length)]!
  }
}

function samplesOf(pattern: string, seed: number): readonly string[] {
  try {
    return fastCheck.sample(fastCheck.stringMatching(new RegExp(pattern, 'u')), { numRuns: SAMPLES, seed })
  } catch {
    // It knows no lookahead.
    return ['x1']
  }
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
