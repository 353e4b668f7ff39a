/** What one host tells Prometheus of itself, of its pools and of the guests that run on it: counters as they stand. */
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { DiskReading, MeterReadings, StorageCounters } from '@stead/core/ports/host-meters.ts'
import type { LatestFigures } from './host-metrics.ts'
import type { Family, Sample } from './exposition.ts'

type Labels = Readonly<Record<string, string>>

export interface GuestLabels {
  readonly guest: string
  readonly id: string
  readonly kind: string
  readonly project: string
}

export function hostFamilies(
  self: HostId,
  { host, pools }: MeterReadings,
  latest: LatestFigures,
  capacities: ReadonlyMap<string, number>,
): readonly Family[] {
  const labels = { host: self }
  const own = (value: number): readonly Sample[] => [{ labels, value }]
  const ofPools = (pick: (pool: string) => number | undefined): readonly Sample[] =>
    [...pools.keys()].map((pool) => ({ labels: { ...labels, pool }, value: pick(pool) }))
  const means = new Map(latest.pools.map(({ name, loadMeanRatio }) => [name, loadMeanRatio]))
  const storage = [...pools].map(([pool, of]): [Labels, StorageCounters | undefined] => [
    { ...labels, pool },
    of.storage,
  ])
  return [
    counter(
      'stead_host_cpu_seconds',
      'Processor time that the host used, of all its processors',
      own(host.cpuMs / 1000),
    ),
    gauge('stead_host_memory_used_bytes', 'Memory of the host that is not available', own(host.memoryBytes)),
    ...network('stead_host', 'the host, its guests included,', [[labels, host]]),
    gauge(
      'stead_pool_used_bytes',
      'What is taken of the file system that the pool lies on',
      ofPools((pool) => pools.get(pool)?.usedBytes),
    ),
    gauge(
      'stead_pool_capacity_bytes',
      'What the pool may hold',
      ofPools((pool) => capacities.get(pool)),
    ),
    counter(
      'stead_pool_busy_seconds',
      'For how long the disk below the pool had a request to serve',
      ofPools((pool) => seconds(pools.get(pool)?.busyMs)),
    ),
    gauge(
      'stead_pool_load_ratio',
      'Part of the last quarter of an hour in which it had one; keep it below 0.1',
      ofPools((pool) => means.get(pool)),
    ),
    ...disk('stead_pool', 'the disk below the pool', storage),
  ]
}

/** `labelsOf`: undefined of a guest that nobody knows any more. */
export function guestFamilies(
  { guests }: MeterReadings,
  labelsOf: (guest: GuestId) => GuestLabels | undefined,
): readonly Family[] {
  const known = [...guests].flatMap(([id, reading]) => {
    const labels = labelsOf(id)
    return labels ? [[{ ...labels }, reading] as const] : []
  })
  return [
    counter(
      'stead_guest_cpu_seconds',
      'Processor time of a guest that runs here',
      known.map(([labels, { cpuMs }]) => ({ labels, value: cpuMs / 1000 })),
    ),
    gauge(
      'stead_guest_memory_bytes',
      'Memory of this host that the guest has',
      known.map(([labels, { memoryBytes }]) => ({ labels, value: memoryBytes })),
    ),
    ...network('stead_guest', 'the guest', known),
    ...disk(
      'stead_guest',
      'the guest, as it waits for it,',
      known.map(([labels, { disks }]) => [labels, disks.length === 0 ? undefined : disks.reduce(added)]),
    ),
  ]
}

export function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name: `${name}_total`, type: 'counter', help, samples }
}

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'gauge', help, samples }
}

interface NetworkCounters {
  readonly receivedBytes: number
  readonly sentBytes: number
}

function network(prefix: string, who: string, of: readonly (readonly [Labels, NetworkCounters])[]): readonly Family[] {
  return [
    counter(
      `${prefix}_network_received_bytes`,
      `What ${who} received`,
      of.map(([labels, { receivedBytes }]) => ({ labels, value: receivedBytes })),
    ),
    counter(
      `${prefix}_network_sent_bytes`,
      `What ${who} sent`,
      of.map(([labels, { sentBytes }]) => ({ labels, value: sentBytes })),
    ),
  ]
}

function disk(
  prefix: string,
  who: string,
  of: readonly (readonly [Labels, StorageCounters | undefined])[],
): readonly Family[] {
  const each = (pick: (counters: StorageCounters) => number | undefined): readonly Sample[] =>
    of.map(([labels, counters]) => ({ labels, value: counters && pick(counters) }))
  return [
    counter(
      `${prefix}_reads`,
      `Read requests of ${who}`,
      each(({ reads }) => reads),
    ),
    counter(
      `${prefix}_writes`,
      `Write requests of ${who}`,
      each(({ writes }) => writes),
    ),
    counter(
      `${prefix}_read_bytes`,
      `Bytes read by ${who}`,
      each(({ readBytes }) => readBytes),
    ),
    counter(
      `${prefix}_written_bytes`,
      `Bytes written by ${who}`,
      each(({ writtenBytes }) => writtenBytes),
    ),
    counter(
      `${prefix}_read_seconds`,
      `How long all reads of ${who} took`,
      each(({ readMs }) => seconds(readMs)),
    ),
    counter(
      `${prefix}_write_seconds`,
      `How long all writes of ${who} took`,
      each(({ writeMs }) => seconds(writeMs)),
    ),
  ]
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}

function added(sum: DiskReading, each: DiskReading): DiskReading {
  const isTimed = sum.readMs !== undefined && each.readMs !== undefined
  return {
    reads: sum.reads + each.reads,
    writes: sum.writes + each.writes,
    readBytes: sum.readBytes + each.readBytes,
    writtenBytes: sum.writtenBytes + each.writtenBytes,
    ...(isTimed ? { readMs: sum.readMs! + each.readMs!, writeMs: (sum.writeMs ?? 0) + (each.writeMs ?? 0) } : {}),
  }
}
