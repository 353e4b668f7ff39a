/**
 * Reads a cluster file (see `core/model/cluster-file.ts`). Whatever is wrong with it is said with the line, where it
 * is no JSON, or with the field. What `parseClusterFile` has let through, nothing behind it needs to check again.
 */
import { failure } from '@stead/core/errors.ts'
import { CLUSTER_FILE_FORMAT, CLUSTER_FILE_LIMITS, type ClusterFile } from '@stead/core/model/cluster-file.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { contradictionsIn } from '@stead/core/planning/contradictions.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { z } from 'zod'
import { namingProblemsIn } from './cluster-file-names.ts'
import { describeIssues } from './issues.ts'
import { lifecycleSchema } from './lifecycle-records.ts'
import { jsonProblemIn } from './json-position.ts'
import { clusterPolicySchema, haSchema, type Frozen, type Same } from './records.ts'
import { ruleSchema } from './rule-records.ts'
import { strictly } from './strictly.ts'

const PIB = 2 ** 50
/** Of one host or guest; the greatest machines have 64 TiB. */
const MEMORY_BYTES_MAX = PIB
const DISK_BYTES_MAX = 4 * PIB
const CPUS_MAX = 65_536
/** Characters; beyond this the text would not fit into memory several times over. */
const TEXT_LENGTH_MAX = 256 * 2 ** 20
/** A message that nobody reads to its end helps nobody. */
const PROBLEMS_SHOWN_MAX = 10

const amount = (least: number, most: number, mostText = String(most)) => {
  const wanted = least === 0 ? `a whole number from 0 to ${mostText}` : `a whole number above 0, at most ${mostText}`
  const error = `must be ${wanted}`
  return z.number({ error }).refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, error)
}
const memoryBytes = amount(1, MEMORY_BYTES_MAX, '1 PiB')
const diskBytes = amount(0, DISK_BYTES_MAX, '4 PiB')

/** Wider than what a cluster of ours takes: other products' names must fit. No commas and slashes, so that lists can be written. */
const name = z
  .string('must be a name')
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._:@-]{0,252}$/u, 'must be a name: letters, digits, dots, dashes, up to 253')
const names = z.array(name, 'must be a list of names')

const hostSchema = z.strictObject({
  name,
  role: z.enum(['compute', 'witness'], 'must be compute or witness').exactOptional(),
  memoryBytes,
  cpus: amount(1, CPUS_MAX),
  poolBytes: diskBytes.exactOptional(),
  qemuVersion: z
    .string('must be a version')
    .regex(/^\d[^\s]{0,63}$/, 'must be a version such as 10.0.2')
    .exactOptional(),
  state: z.enum(['online', 'lost'], 'must be online or lost').exactOptional(),
  maintenance: z.boolean('must be true or false').exactOptional(),
  faultDomains: z.record(name, name).exactOptional(),
})

const guestSchema = z.strictObject({
  name,
  memoryBytes,
  cpus: amount(0, CPUS_MAX),
  diskBytes: diskBytes.exactOptional(),
  replicasOn: names.min(1, 'must name a host; leave it out where every host reaches the disk').exactOptional(),
  staleOn: names.exactOptional(),
  moreDisks: z
    .array(z.strictObject({ diskBytes, replicasOn: names.min(1), staleOn: names.exactOptional() }), 'must be a list')
    .max(100)
    .exactOptional(),
  host: name.exactOptional(),
  ha: haSchema.exactOptional(),
  priority: z
    .number('must be a whole number from -1000 to 1000')
    .refine((value) => Number.isInteger(value) && Math.abs(value) <= 1000, 'must be a whole number from -1000 to 1000')
    .exactOptional(),
  maxRestart: amount(0, 100).exactOptional(),
  maxRelocate: amount(0, 100).exactOptional(),
  failback: z.boolean('must be true or false').exactOptional(),
  lifecycle: strictly(lifecycleSchema).exactOptional(),
})

const { shape: policy } = strictly(clusterPolicySchema)
const policySchema = z.strictObject({
  cpuOvercommit: policy.cpuOvercommit.exactOptional(),
  memoryReserveBytes: policy.memoryReserveBytes.exactOptional(),
  admission: policy.admission.exactOptional(),
  balancing: policy.balancing.exactOptional(),
  shutdown: policy.shutdown.exactOptional(),
  migration: policy.migration,
  armed: policy.armed.exactOptional(),
  whatIfRequired: policy.whatIfRequired.exactOptional(),
  templateKeys: policy.templateKeys,
  templateSignatures: policy.templateSignatures,
})

export const clusterFileSchema = z.strictObject({
  format: z.literal(CLUSTER_FILE_FORMAT, `must be "${CLUSTER_FILE_FORMAT}"`),
  name,
  policy: policySchema.exactOptional(),
  hosts: z.array(hostSchema, 'must be a list of hosts').min(1, 'must have a host'),
  guests: z.array(guestSchema, 'must be a list of guests'),
  rules: z.array(strictly(ruleSchema), 'must be a list of rules'),
})

type Checked<IsSame extends true> = IsSame
export type ClusterFileMatchesModel = Checked<Same<Frozen<z.output<typeof clusterFileSchema>>, ClusterFile>>

/** Fails with `bad_request`. A byte order mark at the start is passed over. */
export function parseClusterFile(text: string): Result<ClusterFile> {
  if (text.length > TEXT_LENGTH_MAX) {
    const size = `${Math.ceil(text.length / 2 ** 20)} MiB`
    return refuse([`the file has ${size}, at most ${TEXT_LENGTH_MAX / 2 ** 20} MiB can be read`])
  }
  const json = text.replace(/^\uFEFF/, '')
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    const found = jsonProblemIn(json)
    const why = found === undefined ? (cause as Error).message : atLine(found)
    return refuse([why], { hint: 'The file must be JSON; see docs/operating/import.md', cause })
  }
  // Before the look for doubled fields, which takes longer than to count.
  const tooMany = countProblemsIn(value)
  if (tooMany.length > 0) return refuse(tooMany)
  const doubled = jsonProblemIn(json)
  return doubled === undefined ? checkClusterFile(value) : refuse([atLine(doubled)])
}

/** The same for a value that is no text any more. */
export function checkClusterFile(value: unknown): Result<ClusterFile> {
  const tooMany = countProblemsIn(value)
  if (tooMany.length > 0) return refuse(tooMany)
  const checked = clusterFileSchema.safeParse(value)
  if (!checked.success) {
    const { issues } = checked.error
    const { message, hint } = describeIssues(issues.slice(0, PROBLEMS_SHOWN_MAX), clusterFileSchema)
    return refuse([message, ...moreThan(issues)], hint === undefined ? {} : { hint })
  }
  const file: ClusterFile = checked.data
  const problems = namingProblemsIn(file)
  if (problems.length > 0) return refuse(problems)
  const contradictions = contradictionsIn(
    file.rules,
    file.guests.map((guest) => ({ id: guest.name as GuestId, name: guest.name })),
    file.hosts
      .filter(({ role }) => role !== 'witness')
      .map((host) => ({ id: host.name as HostId, faultDomains: host.faultDomains ?? {} })),
  )
  if (contradictions.length === 0) return ok(file)
  return refuse(
    contradictions.map(({ proof }) => proof),
    { hint: 'Remove or change one of the rules that are named' },
  )
}

/** Counted before anything else looks at the entries, so that too many are refused at once. */
function countProblemsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(CLUSTER_FILE_LIMITS).flatMap(([field, most]) => {
    const list = (value as Readonly<Record<string, unknown>>)[field]
    if (!Array.isArray(list) || list.length <= most) return []
    return [`${field}: has ${list.length.toLocaleString('en')} entries, at most ${most.toLocaleString('en')} are taken`]
  })
}

function atLine({ line, column, problem }: NonNullable<ReturnType<typeof jsonProblemIn>>): string {
  return `line ${line}, column ${column}: ${problem}`
}

function moreThan(all: readonly unknown[]): string[] {
  return all.length > PROBLEMS_SHOWN_MAX ? [`and ${all.length - PROBLEMS_SHOWN_MAX} more`] : []
}

function refuse(problems: readonly string[], extra: { hint?: string; cause?: unknown } = {}): Result<ClusterFile> {
  const said = [...problems.slice(0, PROBLEMS_SHOWN_MAX), ...moreThan(problems)].join('; ')
  const hint = 'See docs/operating/import.md for what a cluster file holds'
  return fail(failure('bad_request', `The cluster file is not valid: ${said}`, { hint, ...extra }))
}
