/**
 * What happened in a scenario, for people and for comparison: under each command what followed it, grouped by what it
 * is about, so that nothing depends on the milliseconds by which one guest was quicker than another.
 */
import type { ClusterEvent, EventKind } from '@stead/core/model/event.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import { guestId } from './world-records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { World } from './world.ts'

/** Times are told as upper bounds, with half as much to spare: the log stays the same while it is no slower. */
const BOUNDS_S = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1_200, 3_600] as const
const SPARE = 1.5

/** The end of a run is told once it stands in the store; by then the next run may have been granted. */
const TOLD_AFTERWARDS: ReadonlySet<EventKind> = new Set(['guest.stopped', 'guest.exited', 'guest.failed'])
const TOLD_LATE_MS = 50

interface Entry {
  readonly subject: string
  readonly text: string
  /** When it was said, which may be before it was read in the store. */
  readonly wallMs: number
}

interface Section {
  readonly heading: string
  readonly atMs: number
  readonly commands: string[]
  readonly entries: Entry[]
}

export interface StartedGuest {
  readonly guest: string
  readonly host: string
  readonly epoch: number
  readonly atMs: number
}

export class ScenarioLog {
  /** Starts since the scenario began. */
  readonly started: StartedGuest[] = []
  readonly #world: World
  readonly #startMs: number
  readonly #sections: Section[]
  #revision: bigint
  #replicas = 'all replicas are in sync'
  /** Processes that were there at the last look: `guest host epoch`. */
  #processes: ReadonlyMap<string, { readonly guest: string; readonly host: string; readonly epoch: number }>

  constructor(world: World) {
    this.#world = world
    this.#startMs = world.clock.monotonicMs()
    this.#sections = [{ heading: '@0', atMs: this.#startMs, commands: [], entries: [] }]
    this.#revision = world.etcd.server.revision
    this.#processes = this.#present()
  }

  /** A command is about to be done; several at the same moment share a heading. */
  command(shown: string): void {
    this.#noteReplicas()
    const atMs = this.#world.clock.monotonicMs()
    const last = this.#sections.at(-1)
    if (last?.atMs === atMs && last.entries.length === 0) last.commands.push(shown)
    else this.#sections.push({ heading: `@${Math.round(atMs - this.#startMs)}`, atMs, commands: [shown], entries: [] })
  }

  refused(reason: string): void {
    this.#add('refusal', `refused: ${reason}`)
  }

  /** To be called after every event of the world: cheap while nothing has changed. */
  look(): void {
    const { server } = this.#world.etcd
    if (server.revision !== this.#revision) {
      const changes = server.since(this.#revision + 1n, `${PREFIX}events/`) ?? []
      this.#revision = server.revision
      for (const change of changes)
        if (change.kind === 'put') this.#event(JSON.parse(change.entry.value) as ClusterEvent)
    }
    this.#lookAtProcesses()
  }

  lines(): readonly string[] {
    this.#noteReplicas()
    return this.#sections.flatMap(({ heading, commands, entries }) => {
      if (commands.length === 0 && entries.length === 0) return []
      const headings = commands.length === 0 ? ['by itself'] : commands
      return ['', ...headings.map((each) => `${heading} ${each}`), ...grouped(entries).map(({ text }) => `  ${text}`)]
    })
  }

  #event(event: ClusterEvent): void {
    const [kind = '', name = ''] = event.subject.split('/')
    const told = shown(event, name)
    if (told === undefined) return
    const text = event.kind === 'guest.waiting' ? told + this.#whyNowhere(name) : told
    const wallMs = Date.parse(event.time) - (TOLD_AFTERWARDS.has(event.kind) ? TOLD_LATE_MS : 0)
    if (event.kind !== 'guest.started') return this.#add(event.subject, text, wallMs)
    const { host = '', epoch = 0 } = event.details ?? {}
    this.started.push({ guest: name, host: String(host), epoch: Number(epoch), atMs: this.#world.clock.monotonicMs() })
    this.#add(`${kind}/${name}`, `${text} ${this.#within()}`, wallMs)
  }

  /** What the decision says against each host. */
  #whyNowhere(name: string): string {
    const decision = this.#world.record<Decision>(KEYS.decision(guestId(name)))
    const reasons = decision?.candidates.map(({ host, rejectedBecause }) => `${host}: ${rejectedBecause}`) ?? []
    return reasons.length === 0 ? '' : ` (${reasons.toSorted().join('; ')})`
  }

  /** A process that ends after its guest was granted to another host ends without a word of its own. */
  #lookAtProcesses(): void {
    const present = this.#present()
    for (const [key, { guest, host, epoch }] of this.#processes) {
      const grant = this.#world.grant(guest)
      if (present.has(key) || !grant || grant.epoch <= epoch || grant.host === host || grant.cameFrom === host) continue
      this.#add(`guest/${guest}`, `${guest} ends on ${host}, to which it belongs no more ${this.#within()}`)
    }
    this.#processes = present
  }

  #present() {
    const found = new Map<string, { readonly guest: string; readonly host: string; readonly epoch: number }>()
    for (const host of this.#world.hosts)
      for (const { launch } of host.processes) {
        const { name, epoch } = launch
        found.set(`${name} ${host.id} ${epoch}`, { guest: name, host: host.id, epoch })
      }
    return found
  }

  /** What has become of the replicas since the last heading: at its end, since they come and go in between. */
  #noteReplicas(): void {
    const stale = this.#world.guests().flatMap((guest) => {
      const volumes = guest.volumes.map((id) => this.#world.record<Volume>(KEYS.volume(id)))
      const hosts = volumes.flatMap((volume) => volume?.replicas.filter(({ state }) => state !== 'in-sync') ?? [])
      return hosts.map(({ host }) => `${guest.name} on ${host}`)
    })
    const text = stale.length === 0 ? 'all replicas are in sync' : `not in sync: ${stale.join(', ')}`
    if (text !== this.#replicas && this.#sections.length > 0) this.#add('replicas', text)
    this.#replicas = text
  }

  #within(): string {
    const seconds = ((this.#world.clock.monotonicMs() - (this.#sections.at(-1)?.atMs ?? 0)) / 1_000) * SPARE
    return `(within ${BOUNDS_S.find((bound) => seconds <= bound) ?? Infinity} s)`
  }

  #add(subject: string, text: string, wallMs = this.#world.clock.wallMs()): void {
    const section = this.#sections.at(-1)
    if (section && section.entries.at(-1)?.text !== text) section.entries.push({ subject, text, wallMs })
  }
}

/** Refusals first, then hosts and guests by their names; what is about one of them in the order in which it happened. */
function grouped(entries: readonly Entry[]): readonly Entry[] {
  const rank = (subject: string) =>
    ['refusal', 'cluster', 'host', 'guest', 'replicas'].indexOf(subject.split('/')[0] ?? '')
  return entries.toSorted(
    (a, b) =>
      rank(a.subject) - rank(b.subject) ||
      a.subject.localeCompare(b.subject, 'en', { numeric: true }) ||
      a.wallMs - b.wallMs,
  )
}

/** The event in the log's words; undefined for what only tells how it was done. */
function shown({ kind, message, details }: ClusterEvent, name: string): string | undefined {
  switch (kind) {
    case 'coordinator.elected':
      return `${name} coordinates`
    case 'host.lost':
      return `${name} is lost`
    case 'host.online':
      return `${name} is online`
    case 'grant.committed':
      return `${name} is granted to ${details?.['host']}: ${message.slice(message.indexOf(': ') + 2)}`
    case 'guest.started':
      return `${name} runs on ${details?.['host']}`
    case 'guest.waiting':
      return message.replaceAll(/, \d{4}-\d\d-\d\dT[\d:.]+Z/g, '')
    case 'guest.migrated':
      return message.replace(/ in \d+ ms, standing still for \d+ ms/, '')
    case 'guest.ready':
    case 'guest.unready':
    case 'schedule.run':
    case 'schedule.skipped':
    case 'guest.stopped':
    case 'guest.exited':
    case 'guest.failed':
    case 'guest.deleted':
    case 'grant.released':
    case 'data-loss.accepted':
    case 'host.fenced-itself':
      return message
    default:
      return undefined
  }
}
