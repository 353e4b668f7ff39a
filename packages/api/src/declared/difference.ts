/** In what something differs from what was said of it; what was not said does not count. Pure. */
import type { Fields } from './declared-cluster.ts'

export interface Difference {
  readonly path: readonly [string, ...string[]]
  readonly present: unknown
  readonly wanted: unknown
}

export function differencesOf(wanted: Fields, present: Fields): Difference[] {
  return Object.entries(wanted).flatMap(([name, value]) => differencesAt([name], value, present[name]))
}

/** Lists whose order says nothing. */
const SETS = new Set(['members', 'privileges', 'tags', 'protectedFrom'])

function differencesAt(path: Difference['path'], wanted: unknown, present: unknown): Difference[] {
  if (SETS.has(path[0]) && Array.isArray(wanted) && Array.isArray(present) && isSameSet(wanted, present)) return []
  if (isObject(wanted) && (isObject(present) || present === undefined || present === null))
    return Object.entries(wanted).flatMap(([name, value]) =>
      differencesAt([...path, name], value, isObject(present) ? present[name] : undefined),
    )
  return isSame(wanted, present) ? [] : [{ path, present, wanted }]
}

/** Nothing, null and an empty text or list are the same: views leave out what is empty. */
function isSame(wanted: unknown, present: unknown): boolean {
  if (isNothing(wanted) && isNothing(present)) return true
  if (Array.isArray(wanted) && Array.isArray(present))
    return wanted.length === present.length && wanted.every((item, index) => isSameItem(item, present[index]))
  return wanted === present || isSameMoment(wanted, present)
}

function isSameSet(wanted: readonly unknown[], present: readonly unknown[]): boolean {
  return isSame(wanted.toSorted(), present.toSorted())
}

function isSameItem(wanted: unknown, present: unknown): boolean {
  if (!isObject(wanted) || !isObject(present)) return isSame(wanted, present)
  return differencesOf(wanted, present).length === 0
}

/** `2026-12-31T12:00:00+01:00` is shown in UTC. */
function isSameMoment(wanted: unknown, present: unknown): boolean {
  if (typeof wanted !== 'string' || typeof present !== 'string' || !/^\d{4}-\d\d-\d\dT/.test(wanted)) return false
  return Date.parse(wanted) === Date.parse(present)
}

function isNothing(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  )
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
