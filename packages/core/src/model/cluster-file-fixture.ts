/** Cluster files for tests: any that the reader takes. */
import fc from 'fast-check'
import { CLUSTER_FILE_FORMAT, type ClusterFile, type FileDisk, type FileGuest, type FileHost } from './cluster-file.ts'
import type { GuestId, HostId } from './ids.ts'
import type { Rule, RuleId } from './rule.ts'

const GIB = 2 ** 30

/** Two hosts with a guest each, and a witness. */
export const SMALL_FILE: ClusterFile = {
  format: CLUSTER_FILE_FORMAT,
  name: 'small',
  hosts: [
    { name: 'h1', memoryBytes: 64 * GIB, cpus: 16 },
    { name: 'h2', memoryBytes: 64 * GIB, cpus: 16 },
    { name: 'w', role: 'witness', memoryBytes: GIB, cpus: 1 },
  ],
  guests: [
    { name: 'web', memoryBytes: 4 * GIB, cpus: 2, diskBytes: 10 * GIB, replicasOn: ['h1', 'h2'], host: 'h1' },
    { name: 'db', memoryBytes: 8 * GIB, cpus: 4, host: 'h2' },
  ],
  rules: [],
}

/** Objects as `JSON.parse` makes them. */
const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) => fc.record(model, { noNullPrototype: true })

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 })

/** Without the properties that are undefined. */
function compact<T extends object>(value: T): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never
}

function anyHost(name: string): fc.Arbitrary<FileHost> {
  return record({
    memoryBytes: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    cpus: fc.integer({ min: 1, max: 256 }),
    poolBytes: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    qemuVersion: optional(fc.constantFrom('7.2.15', '10.0.2')),
    state: optional(fc.constant('lost' as const)),
    maintenance: optional(fc.constant(true)),
    faultDomains: optional(record({ rack: fc.constantFrom('r1', 'r2') })),
  }).map((host) => compact({ name, ...host }) as FileHost)
}

function anyDisk(hosts: readonly string[]): fc.Arbitrary<FileDisk> {
  return record({
    diskBytes: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    replicasOn: fc.subarray([...hosts], { minLength: 1 }),
    isFirstStale: fc.boolean(),
  }).map(({ isFirstStale, ...disk }) => (isFirstStale ? { ...disk, staleOn: disk.replicasOn.slice(0, 1) } : disk))
}

function anyGuest(name: string, hosts: readonly string[]): fc.Arbitrary<FileGuest> {
  return record({
    memoryBytes: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    cpus: fc.integer({ min: 0, max: 64 }),
    host: optional(fc.constantFrom(...hosts)),
    ha: optional(fc.constantFrom('stopped' as const, 'ignored' as const)),
    priority: optional(fc.integer({ min: -1000, max: 1000 })),
    maxRestart: optional(fc.integer({ min: 0, max: 100 })),
    maxRelocate: optional(fc.integer({ min: 0, max: 100 })),
    failback: optional(fc.boolean()),
    disks: fc.array(anyDisk(hosts), { maxLength: 3 }),
  }).map(({ disks: [first, ...more], ...guest }) => {
    const moreDisks = more.length === 0 ? undefined : more
    return compact({ name, ...guest, ...first, moreDisks }) as FileGuest
  })
}

/** Only wishes and orders without a circle: strict rules at random would contradict each other. */
function anyRule(id: string, guests: readonly string[], hosts: readonly string[]): fc.Arbitrary<Rule> {
  const ruled = fc.subarray([...guests], { minLength: 1 }) as fc.Arbitrary<GuestId[]>
  const base = { id: fc.constant(id as RuleId), guests: ruled }
  const some = fc.subarray([...hosts], { minLength: 1 }) as fc.Arbitrary<HostId[]>
  const wish = fc.constant(false)
  return fc.oneof(
    record({ ...base, kind: fc.constant('together' as const), strict: wish }),
    record({ ...base, kind: fc.constant('apart' as const), strict: wish, across: fc.constant('host') }),
    record({
      ...base,
      kind: fc.constant('hosts' as const),
      strict: wish,
      hosts: some.map((names) => names.map((host, priority) => ({ host, priority }))),
    }),
    record({
      ...base,
      kind: fc.constant('order' as const),
      readyAfterMs: fc.integer({ min: 0, max: 60_000 }),
      mode: fc.constantFrom('required' as const, 'optional' as const),
    }),
  )
}

const namesOf = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`)

export const anyClusterFile: fc.Arbitrary<ClusterFile> = record({
  hosts: fc.integer({ min: 1, max: 4 }),
  guests: fc.integer({ min: 1, max: 6 }),
  rules: fc.nat(4),
}).chain((counts) => {
  const hosts = namesOf('h', counts.hosts)
  const guests = namesOf('g', counts.guests)
  return record({
    format: fc.constant(CLUSTER_FILE_FORMAT),
    name: fc.constant('any'),
    policy: fc.constant({ cpuOvercommit: 2, armed: false }),
    hosts: fc.tuple(...hosts.map(anyHost)),
    guests: fc.tuple(...guests.map((name) => anyGuest(name, hosts))),
    rules: fc.tuple(...namesOf('r', counts.rules).map((id) => anyRule(id, guests, hosts))),
  })
})
