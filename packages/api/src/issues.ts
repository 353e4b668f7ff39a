/** Turns a schema's complaints into one sentence with the fields' paths, and a hint. */
import type { z } from 'zod'

type Issue = z.core.$ZodIssue

/**
 * The message names every wrong field by its path (`disks[0].sizeBytes: ...`); the hint proposes the known
 * field nearest to an unknown one.
 */
export function describeIssues(issues: readonly Issue[], schema: z.ZodType): { message: string; hint?: string } {
  const sentences: string[] = []
  let hint: string | undefined
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') {
      sentences.push(`${pathText(issue.path) || 'the value'}: ${lowerFirst(issue.message)}`)
      continue
    }
    for (const key of issue.keys) {
      sentences.push(`${pathText([...issue.path, key])}: unknown field`)
      hint ??= hintFor(key, knownFields(schema, issue.path))
    }
  }
  const more = sentences.length - SENTENCES_MAX
  const message = [...sentences.slice(0, SENTENCES_MAX), ...(more > 0 ? [`and ${more} more`] : [])].join('; ')
  return hint === undefined ? { message } : { message, hint }
}

/** A client that sends a thousand wrong fields reads the first ones. */
const SENTENCES_MAX = 20
/** No field's name is longer, and comparing one of a megabyte with all known names takes seconds. */
const NAME_LENGTH_MAX = 64

function hintFor(key: string, known: readonly string[]): string | undefined {
  if (known.length === 0 || key.length > NAME_LENGTH_MAX) return 'Remove the field.'
  const nearest = known
    .map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]
  if (nearest && nearest.distance <= 3 && nearest.distance < key.length) return `Did you mean \`${nearest.name}\`?`
  return `Known fields here: ${known.join(', ')}.`
}

export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const name = String(part)
    const shown = name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}...` : name
    return text === '' ? shown : `${text}.${shown}`
  }, '')
}

interface Definition {
  readonly type: string
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly element?: z.ZodType
  readonly innerType?: z.ZodType
  readonly options?: readonly z.ZodType[]
}

/** The field names of the object at this path of the schema; empty where it is not an object. */
function knownFields(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  const definition = schema.def as unknown as Definition
  if (definition.innerType) return knownFields(definition.innerType, path)
  if (definition.options) return [...new Set(definition.options.flatMap((option) => knownFields(option, path)))]
  const [head, ...rest] = path
  if (head === undefined) return Object.keys(definition.shape ?? {})
  const next = typeof head === 'number' ? definition.element : definition.shape?.[String(head)]
  return next ? knownFields(next, rest) : []
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

/** Levenshtein; the words are short. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
