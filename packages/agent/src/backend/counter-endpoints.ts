/** What guests use and were refused, asked of the hosts where they run, for a user at any host. */
import type { GuestUseView, OvercommitView } from '@stead/api/endpoints/counters.ts'
import { failure } from '@stead/core/errors.ts'
import type { ContainerCounter } from '@stead/core/model/container-counters.ts'
import { effectiveLimits, type ContainerLimits } from '@stead/core/model/container-limits.ts'
import {
  clusterOvercommit,
  overcommitOf,
  type ContainerUse,
  type HostCapacity,
  type OvercommitReport,
} from '@stead/core/model/container-overcommit.ts'
import { containerResource, isContainerResource, PAGE_BYTES } from '@stead/core/model/container-resources.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { isActive } from '@stead/core/model/records.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { GuestFigures, HostCounters, HostFigures } from '../counters/host-counters.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Peers } from '../peers.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, 'guest.counters' | 'counter.list' | 'host.overcommit'>

export interface AskCounters {
  readonly of: (host: HostId, guest: GuestId) => Promise<Result<readonly ContainerCounter[]>>
  readonly figures: (host: HostId, ageMsMax: number) => Promise<Result<HostFigures>>
}

/** A host that does not answer by then is left out and named. */
const CALL_MS = 1_500
const FIGURES_AGE_MS = 10_000

export function counterEndpoints(desk: Desk): Answers {
  return {
    'guest.counters': async ({ params }) => {
      const found = desk.findGuest(params.guest)
      if (!found.ok) return found
      const { value: guest } = found.value
      const grant = desk.state.grants.get(guest.id)?.value
      if (!isActive(grant))
        return fail(
          failure('conflict', `${guest.name} does not run, so it holds nothing`, {
            hint: `\`stead ${guest.kind} show ${guest.name}\` shows its limits`,
          }),
        )
      const counters = await desk.context.counters.of(grant.host, guest.id)
      if (!counters.ok) return counters
      const items = counters.value.map((counter) => {
        const { unit, meaning } = containerResource(counter.resource)
        return { ...counter, unit, meaning }
      })
      return ok({ guest: guest.name, host: grant.host, items })
    },

    'counter.list': async ({ query }) => {
      const { answered, silent } = await figuresOf(desk, guestHosts(desk), query.ageMs)
      const items = answered.flatMap(([host, { guests }]) =>
        guests.flatMap((figures) => {
          const guest = desk.state.guests.get(figures.guest)?.value
          return guest ? [guestUse(host, guest, figures)] : []
        }),
      )
      return ok({ items, silent })
    },

    'host.overcommit': async ({ query }) => {
      const asked = query.host === undefined ? ok(undefined) : desk.findHost(query.host)
      if (!asked.ok) return asked
      const hosts = guestHosts(desk).filter((host) => query.host === undefined || host === query.host)
      if (query.host !== undefined && hosts.length === 0)
        return fail(failure('host_unreachable', `${query.host} is not online, or runs no guests`))
      const { answered, silent } = await figuresOf(desk, hosts, FIGURES_AGE_MS)
      const loads = answered.flatMap(([host, figures]) => hostLoad(desk, host, figures) ?? [])
      const cluster = query.host === undefined ? clusterOvercommit(loads) : undefined
      const vmMemoryBytes = loads.reduce((sum, load) => sum + load.vmMemoryBytes, 0)
      return ok({
        hosts: loads.map((load) => overcommitView(overcommitOf(load.capacity, load.containers), load.vmMemoryBytes)),
        cluster: cluster ? overcommitView(cluster, vmMemoryBytes) : null,
        silent,
      })
    },
  }
}

function guestHosts(desk: Desk): HostId[] {
  return [...desk.state.hosts.values()]
    .filter(({ value }) => value.role === 'compute' && desk.state.statuses.get(value.id)?.value.state === 'online')
    .map(({ value }) => value.id)
    .toSorted()
}

/** All at a time, so that the slowest says how long it takes. */
async function figuresOf(desk: Desk, hosts: readonly HostId[], ageMsMax: number) {
  const asked = await Promise.all(
    hosts.map(async (host) => [host, await desk.context.counters.figures(host, ageMsMax)] as const),
  )
  return {
    answered: asked.flatMap(([host, figures]) => (figures.ok ? [[host, figures.value] as const] : [])),
    silent: asked.flatMap(([host, figures]) => (figures.ok ? [] : [host])),
  }
}

function guestUse(host: HostId, guest: Guest, { held, failures, rates = {} }: GuestFigures): GuestUseView {
  const { physpages, numproc } = limitsOf(guest)
  const bytes = (pages: number | undefined) => (pages === undefined ? null : pages * PAGE_BYTES)
  const refused = Object.entries(failures).filter(
    ([name]) => isContainerResource(name) && !containerResource(name).failuresAreOrdinary,
  )
  return {
    ...{ guest: guest.name, id: guest.id, kind: guest.kind, host },
    cpuPercent: rounded(rates.cpuPercent, 10),
    memoryHeldBytes: bytes(held.physpages),
    memoryLimitBytes: guest.kind === 'ct' ? bytes(physpages?.limit) : guest.memoryBytes,
    swapHeldBytes: bytes(held.swappages),
    processes: held.numproc ?? null,
    processesMax: guest.kind === 'ct' ? (numproc?.limit ?? null) : null,
    readBytesPerSecond: rounded(rates.readBytesPerSecond),
    writtenBytesPerSecond: rounded(rates.writtenBytesPerSecond),
    receivedBytesPerSecond: rounded(rates.receivedBytesPerSecond),
    sentBytesPerSecond: rounded(rates.sentBytesPerSecond),
    refused: Object.fromEntries(refused),
  }
}

function rounded(figure: number | undefined, parts = 1): number | null {
  return figure === undefined ? null : Math.round(figure * parts) / parts
}

function limitsOf({ memoryBytes, cpus, container }: Guest): ContainerLimits {
  return effectiveLimits(container?.limits ?? {}, { memoryBytes, cpus })
}

interface HostLoad {
  readonly capacity: HostCapacity
  readonly containers: readonly ContainerUse[]
  readonly vmMemoryBytes: number
}

/** What its virtual machines were given is not there for containers. */
function hostLoad(desk: Desk, id: HostId, figures: HostFigures): HostLoad | undefined {
  const host = desk.state.hosts.get(id)?.value
  if (!host) return undefined
  const held = new Map(figures.guests.map((each) => [each.guest, each.held]))
  const here = [...desk.state.grants.values()].flatMap(({ value: grant }) => {
    const guest = isActive(grant) && grant.host === id ? desk.state.guests.get(grant.guest)?.value : undefined
    return guest ? [guest] : []
  })
  const vmMemoryBytes = here.reduce((sum, { kind, memoryBytes }) => sum + (kind === 'vm' ? memoryBytes : 0), 0)
  return {
    vmMemoryBytes,
    capacity: {
      host: id,
      memoryBytes: Math.max(0, host.memoryBytes - vmMemoryBytes),
      swapBytes: figures.swapBytes,
      cpus: host.cpuCount,
      processesMax: figures.processesMax,
    },
    containers: here
      .filter(({ kind }) => kind === 'ct')
      .map((guest) => ({ container: guest.name, limits: limitsOf(guest), held: held.get(guest.id) ?? {} })),
  }
}

/** JSON has no infinity: what is promised of nothing is shown as very much. */
function overcommitView({ host, rows, oversold, tooLarge }: OvercommitReport, vmMemoryBytes: number): OvercommitView {
  const finite = (part: number) => Math.min(part, Number.MAX_SAFE_INTEGER)
  return {
    ...{ host, vmMemoryBytes, oversold, tooLarge: [...tooLarge] },
    rows: rows.map((row) => ({
      ...row,
      utilization: finite(row.utilization),
      commitment: finite(row.commitment),
      reach: row.reach === null ? null : finite(row.reach),
    })),
  }
}

export function askCounters(self: HostId, own: HostCounters, peers: Peers): AskCounters {
  const call = (host: HostId, name: string, input: unknown) => peers.client(host).callGuest(name, input, CALL_MS)
  return {
    of: async (host, guest) =>
      host === self
        ? own.counters(guest)
        : ((await call(host, 'counters', { guest })) as Result<readonly ContainerCounter[]>),
    figures: async (host, ageMsMax) =>
      host === self
        ? ok(await own.figures(ageMsMax))
        : ((await call(host, 'figures', { ageMsMax })) as Result<HostFigures>),
  }
}

/** What other hosts may ask of this one. */
export function counterCalls(
  own: HostCounters,
): Readonly<Record<string, (input: unknown) => Promise<Result<unknown>>>> {
  return {
    counters: async (input) => own.counters((input as { guest: GuestId }).guest),
    figures: async (input) => ok(await own.figures((input as { ageMsMax: number }).ageMsMax)),
  }
}
