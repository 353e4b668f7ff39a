/**
 * Turns what a watch of `PREFIX` delivers into the `ClusterState`. Pure, and cheap with thousands of records:
 * a batch copies only the maps it changes, each once.
 */
import type { Result } from '../result.ts'
import type { StoreEntry, WatchBatch } from '../ports/store.ts'
import type { AddressHolder, ClusterSettings, ClusterState, CoordinatorClaim, Versioned } from './cluster.ts'
import type { ClusterPolicy } from './cluster-policy.ts'
import type { AuthorityChange } from './authority-change.ts'
import type { HeartbeatKey } from './heartbeat-key.ts'
import { KEYS, PREFIX } from './keys.ts'
import type { Vault } from './vault.ts'
import type { CertificateProgress, WantedCertificate } from './web-certificate.ts'

/** The maps of the state. Each is filled from the folder of the store with the same name. */
type Collection = {
  [Name in keyof ClusterState]-?: ClusterState[Name] extends ReadonlyMap<string, unknown> ? Name : never
}[keyof ClusterState]

type RecordOf<Name extends Collection> =
  ClusterState[Name] extends ReadonlyMap<string, Versioned<infer Value>> ? Value : never

/** The kind of record that a folder holds. A new collection in `ClusterState` must be named here. */
const KIND_OF = {
  hosts: 'host',
  statuses: 'status',
  policies: 'policy',
  liveness: 'liveness',
  guests: 'guest',
  grants: 'grant',
  volumes: 'volume',
  observations: 'observation',
  decisions: 'decision',
  removals: 'removal',
  rules: 'rule',
  snapshots: 'snapshot',
  images: 'image',
  imports: 'imageImport',
  copies: 'diskCopy',
  backups: 'backup',
  operations: 'operation',
  users: 'user',
  groups: 'group',
  roles: 'role',
  tokens: 'token',
  projects: 'project',
  projectTurns: 'projectTurn',
  realms: 'realm',
  webhooks: 'webhook',
  webhookDeliveries: 'webhookDelivery',
  permissions: 'permission',
  sessions: 'session',
} as const satisfies Record<Collection, string>

type KindOf<Name extends Collection> = (typeof KIND_OF)[Name]

/** Checks a record's JSON; given by the caller, since `core` has no schema library. Must not throw. */
export type RecordDecoder = {
  readonly [Name in Collection as KindOf<Name>]: (json: unknown) => Result<RecordOf<Name>>
} & {
  readonly settings: (json: unknown) => Result<ClusterSettings>
  readonly coordinator: (json: unknown) => Result<CoordinatorClaim>
  readonly clusterPolicy: (json: unknown) => Result<ClusterPolicy>
  readonly addressHolder: (json: unknown) => Result<AddressHolder>
  readonly heartbeatKey: (json: unknown) => Result<HeartbeatKey>
  readonly authorityChange: (json: unknown) => Result<AuthorityChange>
  readonly vault: (json: unknown) => Result<Vault>
  readonly wantedCertificate: (json: unknown) => Result<WantedCertificate>
  readonly certificateProgress: (json: unknown) => Result<CertificateProgress>
}

export interface Reduction {
  readonly state: ClusterState
  /** One sentence for each record that could not be read, with its key; those records are skipped. */
  readonly problems: string[]
}

export function emptyClusterState(): ClusterState {
  return {
    hosts: new Map(),
    statuses: new Map(),
    policies: new Map(),
    liveness: new Map(),
    guests: new Map(),
    grants: new Map(),
    volumes: new Map(),
    observations: new Map(),
    decisions: new Map(),
    removals: new Map(),
    rules: new Map(),
    snapshots: new Map(),
    images: new Map(),
    imports: new Map(),
    copies: new Map(),
    backups: new Map(),
    operations: new Map(),
    users: new Map(),
    groups: new Map(),
    roles: new Map(),
    tokens: new Map(),
    projects: new Map(),
    projectTurns: new Map(),
    realms: new Map(),
    webhooks: new Map(),
    webhookDeliveries: new Map(),
    permissions: new Map(),
    sessions: new Map(),
  }
}

/**
 * The state after a batch. A `resync` replaces everything; records whose revision is unchanged keep their identity.
 * A changed record that cannot be read leaves the older one in place: its revision is outdated, so that every
 * transaction that compares it fails, and nothing is decided on it.
 * Keys of no collection (names, events, idempotency) are ignored. Without any change the same state is returned.
 */
export function applyBatch(state: ClusterState, batch: WatchBatch, decode: RecordDecoder): Reduction {
  const draft = new Draft(state, batch.kind === 'resync' ? emptyClusterState() : state, decode)
  if (batch.kind === 'resync') {
    for (const entry of batch.entries) draft.put(entry)
  } else {
    for (const change of batch.changes) {
      if (change.kind === 'put') draft.put(change.entry)
      else draft.delete(change.key)
    }
  }
  return { state: draft.result(), problems: draft.problems }
}

/** Records of which there is one. */
const SINGLES = [
  'settings',
  'coordinator',
  'clusterPolicy',
  'addressHolder',
  'heartbeatKey',
  'authorityChange',
  'vault',
  'wantedCertificate',
  'certificateProgress',
] as const
type Single = (typeof SINGLES)[number]

type Slot =
  | { readonly kind: 'single'; readonly name: Single }
  | { readonly kind: 'member'; readonly name: Collection; readonly id: string }

/** Where the record of a key belongs; undefined for keys that are no part of the state. */
function slotOf(key: string): Slot | undefined {
  const single = SINGLES.find((name) => key === KEYS[name])
  if (single) return { kind: 'single', name: single }
  if (!key.startsWith(PREFIX)) return undefined
  const slash = key.indexOf('/', PREFIX.length)
  if (slash === -1 || slash === key.length - 1) return undefined
  const name = key.slice(PREFIX.length, slash)
  return isCollection(name) ? { kind: 'member', name, id: key.slice(slash + 1) } : undefined
}

function isCollection(name: string): name is Collection {
  return Object.hasOwn(KIND_OF, name)
}

/** The maps hold different records under one shape here; `RecordDecoder` has tied each kind to its map. */
type AnyMap = ReadonlyMap<string, Versioned<unknown>>
type AnyDecoder = Readonly<Record<string, (json: unknown) => Result<unknown>>>

/** The state while a batch is applied: shares with the base whatever has not changed. */
class Draft {
  readonly problems: string[] = []
  /** What was known before the batch: the source of records that need not be read again. */
  readonly #known: ClusterState
  readonly #base: ClusterState
  readonly #decode: AnyDecoder
  readonly #changed: Record<string, Versioned<unknown> | Map<string, Versioned<unknown>> | undefined> = {}

  constructor(known: ClusterState, base: ClusterState, decode: RecordDecoder) {
    this.#known = known
    this.#base = base
    this.#decode = decode as AnyDecoder
  }

  put(entry: StoreEntry): void {
    const slot = slotOf(entry.key)
    if (slot === undefined) return
    const record = this.#unchanged(slot, entry) ?? this.#read(slot, entry)
    if (record === undefined) return
    if (slot.kind === 'single') this.#changed[slot.name] = record
    else this.#writable(slot.name).set(slot.id, record)
  }

  delete(key: string): void {
    const slot = slotOf(key)
    if (slot === undefined) return
    if (slot.kind === 'single') this.#changed[slot.name] = undefined
    else if (this.#current(slot.name).has(slot.id)) this.#writable(slot.name).delete(slot.id)
  }

  result(): ClusterState {
    if (this.#base === this.#known && Object.keys(this.#changed).length === 0) return this.#base
    const state: Record<string, unknown> = { ...this.#base, ...this.#changed }
    // An absent single record is an absent property, not one that is undefined.
    for (const name of SINGLES) if (state[name] === undefined) delete state[name]
    return state as unknown as ClusterState
  }

  #unchanged(slot: Slot, entry: StoreEntry): Versioned<unknown> | undefined {
    const known = slot.kind === 'single' ? this.#known[slot.name] : (this.#known[slot.name] as AnyMap).get(slot.id)
    return known?.revision === entry.modRevision ? known : undefined
  }

  #read(slot: Slot, entry: StoreEntry): Versioned<unknown> | undefined {
    const json = parseJson(entry.value)
    if ('problem' in json) {
      this.problems.push(`${entry.key} is not JSON: ${json.problem}`)
      return undefined
    }
    const kind = slot.kind === 'single' ? slot.name : KIND_OF[slot.name]
    const decoded = this.#decode[kind]?.(json.value)
    if (decoded?.ok) return { value: decoded.value, revision: entry.modRevision }
    this.problems.push(`${entry.key} cannot be read: ${decoded ? decoded.error.message : `no decoder for ${kind}`}`)
    return undefined
  }

  #current(name: Collection): AnyMap {
    return (this.#changed[name] as AnyMap | undefined) ?? this.#base[name]
  }

  #writable(name: Collection): Map<string, Versioned<unknown>> {
    const copied = this.#changed[name]
    if (copied instanceof Map) return copied
    const copy = new Map<string, Versioned<unknown>>(this.#base[name])
    this.#changed[name] = copy
    return copy
  }
}

function parseJson(text: string): { readonly value: unknown } | { readonly problem: string } {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}
