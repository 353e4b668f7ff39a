/**
 * What the API shows, kept as it changes: who follows it gets everything once, then what differs. A view is made anew
 * only when a record that shows up in it has changed, and told only when it then differs.
 *
 * A cursor names the store's revision, so that any host can go on where another stopped, and the state of the access
 * records: who may see what has changed begins anew.
 */
import type { LiveBatch, LiveChange, LiveKind } from '@stead/api/endpoints/live-views.ts'
import type { GuestView, HostView, VolumeView } from '@stead/api/views.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { GuestId, HostId, OperationId, VolumeId } from '@stead/core/model/ids.ts'
import { PREFIX } from '@stead/core/model/keys.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { WatchBatch } from '@stead/core/ports/store.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import { ACCESS_COLLECTIONS, accessStamp } from '../access/access-records.ts'
import { keepJson, keepList } from '../http/kept-json.ts'
import { affectedViews, type ViewKey } from './affected-views.ts'
import { clusterView } from './cluster-view.ts'
import { guestView, hostView, operationView, volumeView, type ViewContext } from './views.ts'

/** Changes that come together are told together. */
const GATHER_MS = 25
/** The hosts' views and the cluster's sum up all guests and volumes: not made more often than this. */
const SUMS_MS = 150
/** What no record tells, as which hosts are heard, is looked at this often. */
const LOOK_MS = 1_000
const BATCH_VIEWS = 500
/** So many changes are remembered for those who come back; gone objects among them. */
const REMEMBERED_MAX = 50_000

export interface LiveViewsContext {
  readonly self: HostId
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly random: Random
  readonly view: () => ViewContext
}

export interface LiveQuery {
  readonly kinds: ReadonlySet<LiveKind>
  /** Of a kind that is not named every field is told. */
  readonly fields: ReadonlyMap<LiveKind, ReadonlySet<string>>
  readonly since?: string
}

interface Entry {
  readonly view: object
  readonly json: Buffer
}

const KINDS: readonly LiveKind[] = ['cluster', 'host', 'guest', 'volume', 'operation']

export class LiveViews {
  readonly #context: LiveViewsContext
  /** Tells this life's batches from those of other agents. */
  readonly #life: string
  #sequence = 0
  readonly #entries = new Map<LiveKind, Map<string, Entry>>(KINDS.map((kind) => [kind, new Map()]))
  #built = false
  #sortedGuests: GuestView[] | undefined
  readonly #dirty = new Map<string, ViewKey>()
  #sumsDirty = true
  #sumsAtMs = Number.NEGATIVE_INFINITY
  readonly #followers = new Set<Follower>()
  #before: ClusterState
  /** The revision at which each view was last touched, since `#rememberedFrom`. */
  readonly #touched = new Map<string, { readonly key: ViewKey; readonly revision: bigint }>()
  #rememberedFrom: bigint
  #gathering = false
  /** The guests of which views said more than the store knows. */
  #unreported: ReadonlySet<string> = new Set()

  constructor(context: LiveViewsContext) {
    this.#context = context
    this.#life = context.random.uuid().slice(0, 8)
    this.#before = context.mirror.state
    this.#rememberedFrom = context.mirror.revision
    context.mirror.onBatch((batch) => this.#take(batch))
  }

  /** By name; always the same list while nothing has changed. Whoever changed something, here, and has been answered finds it. */
  guests(): GuestView[] {
    this.#refresh('later')
    if (this.#sortedGuests) return this.#sortedGuests
    this.#sortedGuests = this.#views<GuestView>('guest').toSorted((a, b) => (a.name < b.name ? -1 : 1))
    keepList(this.#sortedGuests)
    return this.#sortedGuests
  }

  volumes(): readonly VolumeView[] {
    this.#refresh('later')
    return this.#views<VolumeView>('volume')
  }

  /** Everything at once. */
  list(query: LiveQuery): LiveBatch {
    this.#refresh('now')
    return this.#batch(this.#all(query), { reset: true, complete: true })
  }

  /** Ends by the signal, and when it has changed who may see what. */
  async *follow(query: LiveQuery, signal: AbortSignal): AsyncGenerator<LiveBatch> {
    const { clock, mirror } = this.#context
    const stamp = accessStamp(mirror.state)
    const follower = new Follower(clock)
    this.#refresh('now')
    this.#followers.add(follower)
    if (this.#followers.size === 1) void this.#lookAround()
    try {
      yield* this.#beginning(query)
      while (!signal.aborted && accessStamp(mirror.state) === stamp) {
        const changes = follower.take().flatMap(({ kind, id }) => this.#change(kind, id, query) ?? [])
        if (changes.length > 0) yield this.#batch(changes, { reset: false, complete: true })
        await follower.sleep.sleep(LOOK_MS, signal)
      }
    } finally {
      this.#followers.delete(follower)
    }
  }

  *#beginning(query: LiveQuery): Generator<LiveBatch> {
    const since = this.#revisionOf(query.since)
    const changes = since === undefined ? this.#all(query) : this.#after(since, query)
    let reset = since === undefined
    for (let start = 0; start === 0 || start < changes.length; start += BATCH_VIEWS) {
      const complete = start + BATCH_VIEWS >= changes.length
      yield this.#batch(changes.slice(start, start + BATCH_VIEWS), { reset, complete })
      reset = false
    }
  }

  #all(query: LiveQuery): LiveChange[] {
    return KINDS.flatMap((kind) =>
      [...(this.#entries.get(kind)?.keys() ?? [])].flatMap((id) => this.#change(kind, id, query) ?? []),
    )
  }

  /** What was touched since, and what no record tells. */
  #after(since: bigint, query: LiveQuery): LiveChange[] {
    const keys = new Map<string, ViewKey>()
    for (const [name, { key, revision }] of this.#touched) if (revision > since) keys.set(name, key)
    for (const key of this.#untold()) keys.set(nameOf(key), key)
    return [...keys.values()].flatMap(({ kind, id }) => this.#change(kind, id, query) ?? [])
  }

  #change(kind: LiveKind, id: string, { kinds, fields }: LiveQuery): LiveChange | undefined {
    if (!kinds.has(kind)) return undefined
    const view = this.#entries.get(kind)?.get(id)?.view
    const wanted = fields.get(kind)
    const shown = view && wanted ? Object.fromEntries(Object.entries(view).filter(([name]) => wanted.has(name))) : view
    return { kind, id, view: shown ?? null } as LiveChange
  }

  #batch(changes: LiveChange[], { reset, complete }: Pick<LiveBatch, 'reset' | 'complete'>): LiveBatch {
    const { state, revision } = this.#context.mirror
    const place = complete ? `${revision}-${accessStamp(state)}` : 'unfinished'
    return { id: `${place}-${this.#life}${++this.#sequence}`, reset, complete, changes }
  }

  /** Undefined when all must be told: the cursor is none, or too old, or what may be seen has changed since. */
  #revisionOf(cursor = ''): bigint | undefined {
    const [, digits, stamp] = /^(\d{1,19})-([\d.]+)-\w+$/.exec(cursor) ?? []
    if (digits === undefined || stamp !== accessStamp(this.#context.mirror.state)) return undefined
    const revision = BigInt(digits)
    return revision >= this.#rememberedFrom ? revision : undefined
  }

  #take(batch: WatchBatch): void {
    const { state } = this.#context.mirror
    if (batch.kind === 'resync') {
      this.#touched.clear()
      this.#rememberedFrom = batch.revision
      this.#built = false
    } else {
      for (const change of batch.changes) {
        const key = change.kind === 'put' ? change.entry.key : change.key
        if (!key.startsWith(PREFIX)) continue
        for (const view of affectedViews(key, this.#before, state)) this.#touch(view, batch.revision)
      }
    }
    // Whose rights may have changed looks after that himself.
    if (ACCESS_COLLECTIONS.some((name) => this.#before[name] !== state[name]))
      for (const follower of this.#followers) follower.sleep.wake()
    this.#before = state
    this.#sumsDirty = true
    if (this.#followers.size > 0) void this.#tellSoon()
  }

  #touch(key: ViewKey, revision: bigint): void {
    const name = nameOf(key)
    this.#dirty.set(name, key)
    // Moved to the end: the first is the one that was touched the longest ago.
    this.#touched.delete(name)
    this.#touched.set(name, { key, revision })
    if (this.#touched.size <= REMEMBERED_MAX) return
    const [oldest, { revision: forgotten }] = this.#touched.entries().next().value!
    this.#touched.delete(oldest)
    this.#rememberedFrom = forgotten
  }

  async #tellSoon(): Promise<void> {
    if (this.#gathering) return
    this.#gathering = true
    await this.#context.clock.sleep(GATHER_MS)
    this.#gathering = false
    if (!this.#refresh('when-due')) void this.#tellSoon()
  }

  /** While somebody follows. */
  async #lookAround(): Promise<void> {
    while (this.#followers.size > 0) {
      await this.#context.clock.sleep(LOOK_MS)
      for (const key of this.#untold()) this.#dirty.set(nameOf(key), key)
      this.#sumsDirty = true
      this.#refresh('now')
    }
  }

  /** Views of which more than the records decides, or more of them than `affectedViews` says. */
  #untold(): ViewKey[] {
    const { mirror } = this.#context
    const unfinished = [...mirror.state.operations.values()].filter(({ value }) => !isOver(value.state))
    return [
      { kind: 'cluster', id: 'cluster' },
      ...[...mirror.state.hosts.keys()].map((id): ViewKey => ({ kind: 'host', id })),
      ...[...mirror.unreported.keys()].map((id): ViewKey => ({ kind: 'guest', id })),
      ...unfinished.map(({ value }): ViewKey => ({ kind: 'operation', id: value.id })),
    ]
  }

  /** Makes anew what may have changed, and wakes the followers. False when the sums are left for later. */
  #refresh(sumsWhen: 'now' | 'when-due' | 'later'): boolean {
    const { mirror, clock } = this.#context
    const view = this.#context.view()
    if (!this.#built) this.#buildAll()
    for (const { value } of mirror.state.operations.values())
      if (!isOver(value.state)) this.#dirty.set(`operation/${value.id}`, { kind: 'operation', id: value.id })
    for (const id of [...mirror.unreported.keys(), ...this.#unreported])
      this.#dirty.set(`guest/${id}`, { kind: 'guest', id })
    this.#unreported = new Set(mirror.unreported.keys())
    const told: ViewKey[] = []
    for (const key of this.#dirty.values())
      if (key.kind !== 'host' && key.kind !== 'cluster' && this.#update(key, view)) told.push(key)
    this.#dirty.clear()
    const nowMs = clock.monotonicMs()
    const isDue = sumsWhen === 'now' || (sumsWhen === 'when-due' && nowMs - this.#sumsAtMs >= SUMS_MS)
    const sums = this.#sumsDirty && isDue
    if (sums) {
      this.#sumsDirty = false
      this.#sumsAtMs = nowMs
      const hosts = new Set([...mirror.state.hosts.keys(), ...(this.#entries.get('host')?.keys() ?? [])])
      for (const id of hosts) if (this.#update({ kind: 'host', id }, view)) told.push({ kind: 'host', id })
      if (this.#update(CLUSTER, view)) told.push(CLUSTER)
    }
    if (told.length > 0) for (const follower of this.#followers) follower.add(told)
    return sums || !this.#sumsDirty
  }

  #buildAll(): void {
    const { guests, volumes, operations } = this.#context.mirror.state
    const known = (kind: LiveKind) => this.#entries.get(kind)?.keys() ?? []
    for (const id of [...guests.keys(), ...known('guest')]) this.#dirty.set(`guest/${id}`, { kind: 'guest', id })
    for (const id of [...volumes.keys(), ...known('volume')]) this.#dirty.set(`volume/${id}`, { kind: 'volume', id })
    for (const id of [...operations.keys(), ...known('operation')])
      this.#dirty.set(`operation/${id}`, { kind: 'operation', id })
    this.#sumsDirty = true
    this.#built = true
  }

  /** Whether it differs from what was told. */
  #update({ kind, id }: ViewKey, context: ViewContext): boolean {
    const entries = this.#entries.get(kind)!
    const view = this.#make(kind, id, context)
    const json = view && Buffer.from(JSON.stringify(view))
    if (json && entries.get(id)?.json.equals(json)) return false
    if (kind === 'guest') this.#sortedGuests = undefined
    if (!view || !json) return entries.delete(id)
    keepJson(view, json)
    entries.set(id, { view, json })
    return true
  }

  #views<View>(kind: LiveKind): View[] {
    return [...this.#entries.get(kind)!.values()].map(({ view }) => view as View)
  }

  #make(kind: LiveKind, id: string, context: ViewContext): object | undefined {
    const { state } = context
    switch (kind) {
      case 'guest': {
        const guest = state.guests.get(id as GuestId)
        return guest && guestView(context, guest)
      }
      case 'volume': {
        const volume = state.volumes.get(id as VolumeId)
        return volume && volumeView(context, volume)
      }
      case 'operation': {
        const operation = state.operations.get(id as OperationId)
        return operation && operationView(context, operation.value)
      }
      case 'host': {
        const host = state.hosts.get(id as HostId)
        return host && hostView(context, host)
      }
      case 'cluster':
        return clusterView(
          context,
          this.#context.self,
          this.#views<HostView>('host'),
          this.#views<GuestView>('guest'),
          this.#context.clock.wallMs(),
        )
    }
  }
}

const CLUSTER: ViewKey = { kind: 'cluster', id: 'cluster' }

function nameOf({ kind, id }: ViewKey): string {
  return `${kind}/${id}`
}

function isOver(state: string): boolean {
  return state === 'succeeded' || state === 'failed'
}

/** What one who follows has not been told yet; of a view that changes often only that it did. */
class Follower {
  readonly sleep: WakeableSleep
  #news = new Map<string, ViewKey>()

  constructor(clock: Clock) {
    this.sleep = new WakeableSleep(clock)
  }

  add(keys: readonly ViewKey[]): void {
    for (const key of keys) this.#news.set(nameOf(key), key)
    this.sleep.wake()
  }

  take(): ViewKey[] {
    const news = [...this.#news.values()]
    this.#news.clear()
    return news
  }
}
