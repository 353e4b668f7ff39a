/**
 * `/metrics`: this host's own counters, and what the cluster is like as this host knows it. Every host tells the same of
 * the cluster, so that an alert needs no host in particular. docs/operating/metrics.md lists all names.
 */
import { EVENT_KINDS } from '@stead/core/model/event.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { isActive } from '@stead/core/model/records.ts'
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { expositionText, type Family, type Sample } from '../metrics/exposition.ts'
import { counter, gauge, guestFamilies, hostFamilies, type GuestLabels } from '../metrics/host-families.ts'
import type { Desk } from './desk.ts'
import { guestView, hostView, type ViewContext } from './views.ts'

const LEVELS = ['protected', 'degraded', 'unprotected', 'lost'] as const
/** A storage host that hangs must not hold the scraper. */
const LAG_MS = 1_000

export function scrapeEndpoint(desk: Desk): Pick<ApiBackend, 'metrics.scrape'> {
  const { history, metrics, self } = desk.context
  const events = new Map<string, number>(EVENT_KINDS.map((kind) => [kind, 0]))
  let failovers = 0
  history.onEvent(({ kind, details }) => {
    events.set(kind, (events.get(kind) ?? 0) + 1)
    if (kind === 'grant.committed' && details?.['action'] === 'recover') failovers += 1
  })
  return {
    'metrics.scrape': async () => {
      const { readings, latest } = metrics.own()
      const pools = desk.state.hosts.get(self)?.value.pools ?? []
      const capacities = new Map(pools.map(({ name, capacityBytes }) => [name, capacityBytes]))
      const families = [
        ...clusterFamilies(desk),
        counter('stead_failovers', 'Guests that were started anew since their host was lost', [{ value: failovers }]),
        counter(
          'stead_events',
          'What happened, by kind, since this agent began',
          [...events].map(([kind, value]) => ({ labels: { kind }, value })),
        ),
        ...(await lagFamilies(desk)),
        ...(readings ? hostFamilies(self, readings, latest, capacities) : []),
        ...(readings ? guestFamilies(readings, (guest) => labelsOf(desk, guest)) : []),
        ...processFamilies(),
      ]
      return ok(once(Buffer.from(expositionText(families))))
    },
  }
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value
}

function clusterFamilies(desk: Desk): readonly Family[] {
  const context = desk.view()
  const { state } = context
  const hosts = [...state.hosts.values()].map((host) => hostView(context, host))
  const guests = [...state.guests.values()].map((guest) => guestView(context, guest))
  const states = new Map<string, number>()
  for (const guest of guests) states.set(guest.state, (states.get(guest.state) ?? 0) + 1)
  return [
    gauge('stead_store_reached', 'Whether this host knows the records of the cluster', [
      { value: desk.context.mirror.loaded ? 1 : 0 },
    ]),
    gauge(
      'stead_host_up',
      'Whether a host of the cluster is online',
      hosts.map(({ name, role, state: is }) => ({ labels: { host: name, role }, value: is === 'online' ? 1 : 0 })),
    ),
    gauge(
      'stead_host_maintenance',
      'Whether a host is to run no guests',
      hosts.map(({ name, maintenance }) => ({ labels: { host: name }, value: maintenance ? 1 : 0 })),
    ),
    gauge(
      'stead_coordinator',
      'Whether a host decides for the cluster',
      hosts.map(({ name, coordinator }) => ({ labels: { host: name }, value: coordinator ? 1 : 0 })),
    ),
    gauge(
      'stead_guests',
      'How many guests are in a state',
      [...states].map(([is, value]) => ({ labels: { state: is }, value })),
    ),
    gauge(
      'stead_guests_protection',
      'How many guests have all replicas (protected), fewer (degraded), one copy (unprotected) or none within reach (lost)',
      LEVELS.map((level) => ({
        labels: { level },
        value: guests.filter(({ protection }) => protection.level === level).length,
      })),
    ),
    ...replicaFamilies(context, desk.context.clock.wallMs()),
  ]
}

function replicaFamilies({ state }: ViewContext, nowMs: number): readonly Family[] {
  const counts = { 'in-sync': 0, stale: 0, syncing: 0 }
  let oldestMs: number | undefined
  for (const { value } of state.volumes.values())
    for (const replica of value.replicas) {
      counts[replica.state] += 1
      if (replica.stale) oldestMs = Math.min(oldestMs ?? Infinity, replica.stale.since)
    }
  return [
    gauge(
      'stead_replicas',
      'How many replicas are in a state',
      Object.entries(counts).map(([is, value]) => ({ labels: { state: is }, value })),
    ),
    gauge('stead_replica_stale_seconds', 'For how long the replica that is stale for longest has been so', [
      { value: oldestMs === undefined ? 0 : Math.max(0, nowMs - oldestMs) / 1000 },
    ]),
  ]
}

/** Of the guests that run here: each host tells of its own. */
async function lagFamilies(desk: Desk): Promise<readonly Family[]> {
  const { state, context } = desk
  const stale = [...state.volumes.values()].flatMap(({ value }) => {
    const grant = state.grants.get(value.guest)?.value
    const isHere = isActive(grant) && grant.host === context.self
    return isHere && value.replicas.some((replica) => replica.state !== 'in-sync') ? [value] : []
  })
  const samples = await Promise.all(
    stale.map(async ({ id, guest }): Promise<Sample> => {
      const labels = { guest: state.guests.get(guest)?.value.name ?? guest, volume: id }
      return { labels, value: await lagWithin(desk, id) }
    }),
  )
  return [gauge('stead_replication_lag_bytes', 'What the stale replicas of a volume of a guest here lack', samples)]
}

async function lagWithin(desk: Desk, volume: VolumeId): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, LAG_MS, undefined)))
  return Promise.race([desk.context.lagBytes(volume), late]).finally(() => clearTimeout(timer))
}

function labelsOf(desk: Desk, id: GuestId): GuestLabels | undefined {
  const guest = desk.state.guests.get(id)?.value
  return guest && { guest: guest.name, id, kind: guest.kind, project: projectOf(guest) }
}

/** As Prometheus names what every process has. */
function processFamilies(): readonly Family[] {
  const { user, system } = process.cpuUsage()
  return [
    counter('process_cpu_seconds', 'Processor time of the agent', [{ value: (user + system) / 1e6 }]),
    gauge('process_resident_memory_bytes', 'Memory of the agent', [{ value: process.memoryUsage.rss() }]),
    gauge('process_start_time_seconds', 'When the agent began', [
      { value: Math.round(Date.now() / 1000 - process.uptime()) },
    ]),
  ]
}
