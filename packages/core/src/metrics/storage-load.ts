/**
 * Storage load: the part of the time in which a pool has a request to serve. Whoever ran such platforms knows the rule:
 * below a tenth a request finds the disks idle nine times out of ten, above it guests begin to wait for each other. So
 * the mean of a quarter of an hour is watched, and who causes it is named. docs/operating/metrics.md. Pure.
 */
import type { EventDraft } from '../ha/plan.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import type { Volume } from '../model/volume.ts'
import type { DiskDemand } from './figures.ts'
import { SAMPLE_MS } from './resolution.ts'

export const STORAGE_LOAD_LINE = 0.1
/** Below this it is over: not each wave around the line is told. */
const CALM_RATIO = 0.08
export const LOAD_MEAN_MS = 15 * 60_000
const SAMPLES = LOAD_MEAN_MS / SAMPLE_MS

/** What one request costs a disk beside its bytes: as much as so many of them. */
const BYTES_LIKE_A_REQUEST = 256 * 1024

export type LoadChange = 'busy' | 'calm'

/** The recent load of each pool of one host. */
export class StorageLoadWatch {
  readonly #samples = new Map<string, number[]>()
  readonly #busy = new Set<string>()

  /** One look; whether the pool is above the line from now on, or below again. */
  add(pool: string, ratio: number): LoadChange | undefined {
    const samples = this.#samples.get(pool) ?? []
    this.#samples.set(pool, samples)
    samples.push(ratio)
    if (samples.length > SAMPLES) samples.shift()
    // A short time after the agent's start says little.
    if (samples.length < SAMPLES) return undefined
    const mean = this.mean(pool) ?? 0
    if (!this.#busy.has(pool) && mean > STORAGE_LOAD_LINE) {
      this.#busy.add(pool)
      return 'busy'
    }
    return mean < CALM_RATIO && this.#busy.delete(pool) ? 'calm' : undefined
  }

  /** Of what is known of the last quarter of an hour. */
  mean(pool: string): number | undefined {
    const samples = this.#samples.get(pool)
    return samples && samples.reduce((sum, each) => sum + each, 0) / samples.length
  }
}

/** What one host's guests asked of their disks at the last look. */
export type HostDemands = ReadonlyMap<GuestId, readonly DiskDemand[]>

export interface LoadCause {
  readonly guest: GuestId
  /** Of all that the pool had to do. */
  readonly share: number
}

export interface LoadCauses {
  /** The largest first. */
  readonly guests: readonly LoadCause[]
  /** Whatever no guest asked for: replicas brought up to date, snapshots, copies, the host itself. */
  readonly others: number
}

interface Records {
  readonly volumes: ReadonlyMap<VolumeId, { readonly value: Volume }>
}

export function loadCauses(
  state: Records,
  demands: ReadonlyMap<HostId, HostDemands>,
  pool: { readonly host: HostId; readonly name: string; readonly work: Omit<DiskDemand, 'volume'> | undefined },
): LoadCauses {
  const costs = new Map<GuestId, number>()
  for (const [runsOn, guests] of demands)
    for (const [guest, disks] of guests) {
      const cost = disks.reduce((sum, disk) => sum + costThere(state, guest, runsOn, disk, pool), 0)
      if (cost > 0) costs.set(guest, (costs.get(guest) ?? 0) + cost)
    }
  const asked = [...costs.values()].reduce((sum, each) => sum + each, 0)
  // Guests' requests are split and joined on their way: together they are never more than all of it.
  const all = Math.max(asked, pool.work ? costOf(pool.work, true) : 0)
  if (all === 0) return { guests: [], others: 0 }
  const guests = [...costs].map(([guest, cost]) => ({ guest, share: cost / all }))
  return { guests: guests.toSorted((a, b) => b.share - a.share), others: (all - asked) / all }
}

/** Writes go to each replica; reads to the one at hand. */
function costThere(
  { volumes }: Records,
  guest: GuestId,
  runsOn: HostId,
  demand: DiskDemand,
  pool: { readonly host: HostId; readonly name: string },
): number {
  const own = demand.volume === undefined ? volumesOf(volumes, guest) : [volumes.get(demand.volume)?.value]
  const there = own.filter((volume) => {
    const replica = volume?.replicas.find(({ host }) => host === pool.host)
    return replica?.pool === pool.name && replica.state !== 'stale'
  })
  if (there.length === 0) return 0
  const reads = there.some((volume) => volume && readsFrom(volume, runsOn) === pool.host)
  // Where a guest's disks are not told apart, each is taken for the same part of it.
  return (costOf(demand, reads) * there.length) / own.length
}

function readsFrom({ replicas }: Volume, runsOn: HostId): HostId | undefined {
  const serving = replicas.filter(({ state }) => state === 'in-sync')
  return (serving.find(({ host }) => host === runsOn) ?? serving[0])?.host
}

function volumesOf(volumes: Records['volumes'], guest: GuestId): Volume[] {
  return [...volumes.values()].flatMap(({ value }) => (value.guest === guest && !value.attachment ? [value] : []))
}

function costOf(demand: Omit<DiskDemand, 'volume'>, withReads: boolean): number {
  const { readsPerSecond, readBytesPerSecond, writesPerSecond, writtenBytesPerSecond } = demand
  const written = writesPerSecond + writtenBytesPerSecond / BYTES_LIKE_A_REQUEST
  return written + (withReads ? readsPerSecond + readBytesPerSecond / BYTES_LIKE_A_REQUEST : 0)
}

/** What is told of a pool that is above the line, or below it again. */
export function loadEvent(
  change: LoadChange,
  place: { readonly host: HostId; readonly pool: string; readonly mean: number },
  causes: LoadCauses,
  guests: ReadonlyMap<GuestId, { readonly value: Pick<Guest, 'name'> }>,
): EventDraft {
  const { host, pool } = place
  const load = percent(place.mean)
  const details = { pool, loadRatio: Math.round(place.mean * 1000) / 1000 }
  const subject = `host/${host}`
  if (change === 'calm')
    return { kind: 'storage.calm', subject, message: `The load of pool ${pool} on ${host} is down to ${load}`, details }
  const named = causes.guests.slice(0, 3).flatMap(({ guest, share }) => {
    const name = guests.get(guest)?.value.name
    return name === undefined ? [] : [`${name} ${percent(share)}`]
  })
  const because = named.length > 0 ? `; most of it: ${named.join(', ')}` : ''
  return {
    kind: 'storage.busy',
    subject,
    message: `Pool ${pool} on ${host} was busy for ${load} of the last quarter of an hour, more than ${percent(STORAGE_LOAD_LINE)}${because}`,
    details,
  }
}

const percent = (part: number) => `${Math.round(part * 100)} %`
