/** What writes change of the records, as the audit shows it: fields that differ, before and after, without secrets. */
import { AUDITED_SCHEMAS } from '@stead/api/audited-records.ts'
import { maskedBy } from '@stead/api/secrets.ts'
import type { AuditChange } from '@stead/core/model/audit.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import type { Write } from '@stead/core/ports/store.ts'

/** Characters of one side of a record; more is left out, since the store holds the entries for a while. */
const SIDE_LENGTH_MAX = 6_000
/** Records of which there is one. */
const SINGLES = ['clusterPolicy', 'wantedCertificate'] as const
const LEFT_OUT = 'too long, left out'

export function auditChanges(state: ClusterState, writes: readonly Write[]): AuditChange[] {
  return writes.flatMap((write) => {
    if (write.kind === 'delete-prefix') return []
    const record = write.key.slice(PREFIX.length)
    const schema = schemaOf(write.key)
    // Names, turns and secrets are no records.
    if (!schema) return []
    const before = presentValue(state, write.key)
    const after = write.kind === 'put' ? JSON.parse(write.value) : undefined
    const [was, is] = differing(maskedBy(schema, before), maskedBy(schema, after))
    if (was === undefined && is === undefined) return []
    return [{ record, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) }]
  })
}

function schemaOf(key: string) {
  if (!key.startsWith(PREFIX)) return undefined
  const single = SINGLES.find((name) => KEYS[name] === key)
  if (single) return AUDITED_SCHEMAS[single]
  const [collection = ''] = key.slice(PREFIX.length).split('/')
  return Object.hasOwn(AUDITED_SCHEMAS, collection) && !SINGLES.includes(collection as never)
    ? AUDITED_SCHEMAS[collection as keyof typeof AUDITED_SCHEMAS]
    : undefined
}

function presentValue(state: ClusterState, key: string): unknown {
  const single = SINGLES.find((name) => KEYS[name] === key)
  if (single) return state[single]?.value
  const path = key.slice(PREFIX.length)
  const slash = path.indexOf('/')
  const maps = state as unknown as Readonly<Record<string, ReadonlyMap<string, Versioned<unknown>>>>
  return maps[path.slice(0, slash)]?.get(path.slice(slash + 1))?.value
}

/** Of two records the fields that are not the same; one that is made or deleted is shown whole. */
function differing(before: unknown, after: unknown): readonly [unknown, unknown] {
  if (!isRecord(before) || !isRecord(after)) return [short(before), short(after)]
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  )
  if (fields.length === 0) return [undefined, undefined]
  const only = (record: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(fields.filter((field) => field in record).map((field) => [field, record[field]]))
  return [short(only(before)), short(only(after))]
}

function short(value: unknown): unknown {
  return (JSON.stringify(value) ?? '').length > SIDE_LENGTH_MAX ? LEFT_OUT : value
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
