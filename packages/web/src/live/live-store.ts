/**
 * What the cluster is like now: one normalized store outside React. Whoever shows a part of it selects that part, and is
 * drawn again only when it has changed; what arrives within one frame of the screen is applied together.
 */
import type { LiveChange } from '@stead/api/endpoints/live-views.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import type { GuestView, HostView, OperationView, VolumeView } from '@stead/api/views.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'

export interface LiveState {
  /** Something was told: what is not there now is not there, or not for whoever looks. */
  readonly isKnown: boolean
  readonly cluster: ClusterView | undefined
  /** By name. */
  readonly hosts: ReadonlyMap<string, HostView>
  /** By id, as volumes and operations. */
  readonly guests: ReadonlyMap<string, GuestView>
  readonly volumes: ReadonlyMap<string, VolumeView>
  readonly operations: ReadonlyMap<string, OperationView>
  /** Newest last. */
  readonly events: readonly ClusterEvent[]
  /** `lost`: no host answers, and what is shown may be old. */
  readonly connection: 'connecting' | 'live' | 'lost'
  readonly failure: Failure | undefined
}

/** Whole views: this client asks for no choice of fields. */
export type Change =
  | { readonly kind: 'cluster'; readonly id: string; readonly view: ClusterView | null }
  | { readonly kind: 'host'; readonly id: string; readonly view: HostView | null }
  | { readonly kind: 'guest'; readonly id: string; readonly view: GuestView | null }
  | { readonly kind: 'volume'; readonly id: string; readonly view: VolumeView | null }
  | { readonly kind: 'operation'; readonly id: string; readonly view: OperationView | null }

const EVENTS_KEPT = 1_000

const EMPTY: LiveState = {
  isKnown: false,
  guests: new Map(),
  hosts: new Map(),
  volumes: new Map(),
  operations: new Map(),
  cluster: undefined,
  events: [],
  connection: 'connecting',
  failure: undefined,
}

const TABLES = { host: 'hosts', guest: 'guests', volume: 'volumes', operation: 'operations' } as const

export class LiveStore {
  #state: LiveState = EMPTY
  #waiting: ((state: LiveState) => LiveState)[] = []
  readonly #listeners = new Set<() => void>()
  readonly #atNextFrame: (run: () => void) => void

  /** `atNextFrame`: calls once, soon; the browser's frames when absent. */
  constructor(atNextFrame: (run: () => void) => void = nextFrame) {
    this.#atNextFrame = atNextFrame
  }

  readonly state = (): LiveState => this.#state

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** `reset`: what was known before counts no more. */
  apply(changes: readonly (Change | LiveChange)[], { reset }: { readonly reset: boolean }): void {
    this.#change((before) => {
      const from = reset ? { ...before, ...tablesOf(EMPTY), cluster: undefined } : before
      const next = { ...from, isKnown: true, connection: 'live' as const, failure: undefined }
      const copied = new Map<string, Map<string, unknown>>()
      for (const change of changes as readonly Change[]) {
        if (change.kind === 'cluster') {
          next.cluster = change.view ?? undefined
          continue
        }
        const name = TABLES[change.kind]
        const table = copied.get(name) ?? new Map<string, unknown>(from[name])
        copied.set(name, table)
        if (change.view) table.set(change.id, change.view)
        else table.delete(change.id)
      }
      return { ...next, ...Object.fromEntries(copied) }
    })
  }

  /** Events that are known already are left out. */
  addEvents(events: readonly ClusterEvent[]): void {
    this.#change((state) => {
      const known = new Set(state.events.map(({ id }) => id))
      const fresh = events.filter(({ id }) => !known.has(id))
      return fresh.length === 0 ? state : { ...state, events: [...state.events, ...fresh].slice(-EVENTS_KEPT) }
    })
  }

  lost(failure: Failure): void {
    this.#change((state) => ({ ...state, connection: 'lost', failure }))
  }

  /** Somebody else may look next. */
  clear(): void {
    this.#change(() => EMPTY)
  }

  #change(change: (state: LiveState) => LiveState): void {
    this.#waiting.push(change)
    if (this.#waiting.length === 1) this.#atNextFrame(() => this.#apply())
  }

  #apply(): void {
    const before = this.#state
    const waiting = this.#waiting
    this.#waiting = []
    this.#state = waiting.reduce((state, change) => change(state), before)
    if (this.#state !== before) for (const listener of this.#listeners) listener()
  }
}

function tablesOf({ hosts, guests, volumes, operations }: LiveState) {
  return { hosts, guests, volumes, operations }
}

/** A hidden tab draws no frames, but its store must not fall behind. */
function nextFrame(run: () => void): void {
  if (document.visibilityState === 'hidden') setTimeout(run, 250)
  else requestAnimationFrame(run)
}
