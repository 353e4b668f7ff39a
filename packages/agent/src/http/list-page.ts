/**
 * A part of a list, as `limit`, `cursor`, `filter` and `fields` ask for it. Pages go by the items' keys, not by their
 * place: what is added or goes meanwhile makes nobody miss or repeat another item. Pure.
 */
import type { Endpoint } from '@stead/api/endpoint.ts'
import { listQuerySchema, type ListQuery } from '@stead/api/list-query.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { z } from 'zod'
import { filterOf, unknownField } from './list-filter.ts'

type Item = Readonly<Record<string, unknown>>
interface List {
  readonly items: readonly Item[]
}

export const LIST_FIELDS: readonly string[] = Object.keys(listQuerySchema.shape)

/** The very same list where nothing is asked for. */
export function partOfList(endpoint: Endpoint, list: List, query: ListQuery): Result<List> {
  const { limit, cursor, filter, fields } = query
  const { listedBy } = endpoint
  if (!listedBy || Object.values(query).every((value) => value === undefined)) return ok(list)
  const known = fieldsOf(endpoint)
  const wanted = fields === undefined ? undefined : namesOf(fields, known)
  if (wanted && !wanted.ok) return wanted
  const isWanted = filter === undefined ? ok(undefined) : filterOf(filter, known)
  if (!isWanted.ok) return isWanted
  const after = cursor === undefined ? ok(undefined) : readCursor(endpoint.id, cursor)
  if (!after.ok) return after

  const matching = isWanted.value ? list.items.filter(isWanted.value) : list.items
  const { items, next } =
    limit === undefined && after.value === undefined
      ? { items: matching, next: null }
      : pageOf(endpoint.id, matching, keyOf(listedBy), after.value, limit ?? Infinity)
  return ok({ ...list, items: wanted?.value ? items.map((item) => only(item, wanted.value)) : items, next })
}

/** Sorted once for a list that does not change between two pages. */
const sorted = new WeakMap<readonly Item[], readonly { readonly key: string; readonly item: Item }[]>()

function pageOf(
  id: string,
  items: readonly Item[],
  keyOfItem: (item: Item) => string,
  after: string | undefined,
  limit: number,
): { items: readonly Item[]; next: string | null } {
  const all =
    sorted.get(items) ??
    items
      .map((item) => ({ key: keyOfItem(item), item }))
      .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  sorted.set(items, all)
  const start = after === undefined ? 0 : firstAfter(all, after)
  const page = all.slice(start, start + limit)
  const last = page.at(-1)
  const isEnd = last === undefined || start + limit >= all.length
  return { items: page.map(({ item }) => item), next: isEnd ? null : cursorOf(id, last.key) }
}

function firstAfter(all: readonly { readonly key: string }[], after: string): number {
  let [low, high] = [0, all.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (all[middle]!.key > after) high = middle
    else low = middle + 1
  }
  return low
}

function keyOf(listedBy: readonly string[]): (item: Item) => string {
  const [only, ...more] = listedBy as [string, ...string[]]
  if (more.length === 0) return (item) => String(item[only])
  return (item) => JSON.stringify(listedBy.map((field) => item[field]))
}

/** It says of which list it is: that of another one would skip or repeat without a word. */
function cursorOf(id: string, key: string): string {
  return Buffer.from(JSON.stringify([id, key])).toString('base64url')
}

function readCursor(id: string, cursor: string): Result<string> {
  try {
    const [of, key] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
    if (of === id && typeof key === 'string') return ok(key)
  } catch {
    // No cursor at all; refused like one of another list.
  }
  return fail(
    failure('bad_request', 'The cursor is none of this list', { hint: 'Give `next` of the answer before as it came' }),
  )
}

const knownFields = new WeakMap<Endpoint, readonly string[]>()

function fieldsOf(endpoint: Endpoint): readonly string[] {
  const found = knownFields.get(endpoint)
  if (found) return found
  const { items } = (endpoint.response as z.ZodObject).shape
  const names = Object.keys(((items as z.ZodArray).element as z.ZodObject).shape)
  knownFields.set(endpoint, names)
  return names
}

function namesOf(fields: string, known: readonly string[]): Result<ReadonlySet<string>> {
  const names = fields.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !known.includes(name))
  return unknown === undefined ? ok(new Set(names)) : fail(unknownField(unknown, known))
}

function only(item: Item, wanted: ReadonlySet<string>): Item {
  return Object.fromEntries(Object.entries(item).filter(([name]) => wanted.has(name)))
}
