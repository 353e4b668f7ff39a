/** `filter` of a list: `state=running,memoryBytes>=1073741824,name~web`. docs/internals/api.md. Pure. */
import { FILTER_OPERATORS, type FilterOperator } from '@stead/api/list-query.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

type Item = Readonly<Record<string, unknown>>

interface Term {
  readonly path: readonly string[]
  readonly operator: FilterOperator
  readonly value: string
}

const TERMS_MAX = 20
const PATH = /^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9][A-Za-z0-9-]*)*/

/** Whether an item is wanted. `known`: the fields that items have; those within them are not checked. */
export function filterOf(text: string, known: readonly string[]): Result<(item: Item) => boolean> {
  const terms = termsOf(text)
  if (!terms.ok) return terms
  const stranger = terms.value.find(({ path }) => !known.includes(path[0] ?? ''))
  if (stranger) return fail(unknownField(stranger.path[0] ?? '', known))
  return ok((item) => terms.value.every((term) => holds(term, item)))
}

function termsOf(text: string): Result<readonly Term[]> {
  const terms: Term[] = []
  let rest = text.trim()
  for (;;) {
    const name = PATH.exec(rest)?.[0]
    if (name === undefined) return fail(unreadable(rest))
    rest = rest.slice(name.length).trimStart()
    const operator = FILTER_OPERATORS.find((one) => rest.startsWith(one))
    if (operator === undefined) return fail(unreadable(rest))
    rest = rest.slice(operator.length).trimStart()
    const value = rest.startsWith('"') ? quotedAt(rest) : plainAt(rest)
    if (!value) return fail(unreadable(rest))
    terms.push({ path: name.split('.'), operator, value: value.text })
    rest = rest.slice(value.length).trimStart()
    if (rest === '') return ok(terms)
    if (!rest.startsWith(',') || terms.length >= TERMS_MAX) return fail(unreadable(rest))
    rest = rest.slice(1).trimStart()
  }
}

function plainAt(rest: string): { readonly text: string; readonly length: number } {
  const end = rest.indexOf(',')
  const length = end < 0 ? rest.length : end
  return { text: rest.slice(0, length).trimEnd(), length }
}

function quotedAt(rest: string): { readonly text: string; readonly length: number } | undefined {
  const quoted = /^"(?:[^"\\]|\\.)*"/.exec(rest)?.[0]
  if (quoted === undefined) return undefined
  try {
    return { text: JSON.parse(quoted) as string, length: quoted.length }
  } catch {
    return undefined
  }
}

export function unknownField(name: string, known: readonly string[]) {
  return failure('bad_request', `The items of this list have no field \`${name.slice(0, 64)}\``, {
    hint: `They have ${known.join(', ')}`,
  })
}

function unreadable(rest: string) {
  return failure('bad_request', `The filter cannot be read from \`${rest.slice(0, 40)}\` on`, {
    hint: `At most ${TERMS_MAX} of \`FIELD=VALUE\` with ${FILTER_OPERATORS.join(' ')}, separated by commas; \`state=running,name~web\``,
  })
}

/** Of a list one item is enough; for `!=` none of them may be it. */
function holds({ path, operator, value }: Term, item: Item): boolean {
  const found = valuesAt(item, path)
  if (operator === '!=') return !found.some((one) => isSame(one, value))
  return found.some((one) => compare(one, operator, value))
}

function valuesAt(value: unknown, path: readonly string[]): readonly unknown[] {
  if (Array.isArray(value)) return value.flatMap((one) => valuesAt(one, path))
  const [name, ...rest] = path
  if (name === undefined) return [value]
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return []
  return valuesAt((value as Item)[name], rest)
}

function isSame(found: unknown, value: string): boolean {
  if (typeof found === 'number') return value.trim() !== '' && found === Number(value)
  return String(found) === value
}

function compare(found: unknown, operator: FilterOperator, value: string): boolean {
  if (operator === '=') return isSame(found, value)
  if (operator === '~') return typeof found === 'string' && found.toLowerCase().includes(value.toLowerCase())
  if (typeof found === 'number') return value.trim() !== '' && ordered(found, operator, Number(value))
  // Times are ISO 8601, whose order is that of their text.
  return typeof found === 'string' && ordered(found, operator, value)
}

function ordered<T extends string | number>(found: T, operator: FilterOperator, value: T): boolean {
  switch (operator) {
    case '<':
      return found < value
    case '<=':
      return found <= value
    case '>':
      return found > value
    case '>=':
      return found >= value
    default:
      return false
  }
}
