/** What happened between two looks at the counters. Pure. */
import type { GuestId, VolumeId } from '../model/ids.ts'
import type { DiskReading, GuestReading, MeterReadings, PoolReading, StorageCounters } from '../ports/host-meters.ts'
import type { Figures } from './metric.ts'

export interface HostMeasure {
  readonly seconds: number
  readonly host: Figures<'host'>
  readonly pools: ReadonlyMap<string, Figures<'pool'>>
  readonly guests: ReadonlyMap<GuestId, GuestMeasure>
}

export interface GuestMeasure {
  readonly figures: Figures<'guest'>
  /** What it asked of each of its volumes; of all together where they are not told apart. */
  readonly disks: readonly DiskDemand[]
  /** Since the look before. */
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface DiskDemand {
  readonly volume?: VolumeId
  readonly readsPerSecond: number
  readonly writesPerSecond: number
  readonly readBytesPerSecond: number
  readonly writtenBytesPerSecond: number
}

type Machine = Omit<GuestReading, 'run' | 'disks'>

export function measureBetween(before: MeterReadings, after: MeterReadings): HostMeasure {
  const seconds = (after.atMs - before.atMs) / 1000
  const pools = new Map<string, Figures<'pool'>>()
  for (const [name, pool] of after.pools) pools.set(name, poolFigures(before.pools.get(name), pool, seconds))
  const guests = new Map<GuestId, GuestMeasure>()
  for (const [id, guest] of after.guests) guests.set(id, guestMeasure(before.guests.get(id), guest, seconds))
  const busy = [...pools.values()].flatMap(({ storageBusyRatio }) => storageBusyRatio ?? [])
  const devices = devicesOf(after)
  const known = devicesOf(before)
  const same = [...devices.keys()].filter((device) => known.has(device))
  const host: Figures<'host'> = {
    ...machineFigures(before.host, after.host, seconds),
    ...(same.length > 0
      ? storageFigures(sum(same.map((id) => known.get(id)!)), sum(same.map((id) => devices.get(id)!)), seconds)
      : {}),
    ...(busy.length > 0 ? { storageBusyRatio: Math.max(...busy) } : {}),
  }
  return { seconds, host, pools, guests }
}

function guestMeasure(before: GuestReading | undefined, after: GuestReading, seconds: number): GuestMeasure {
  const known = before?.run === after.run ? before : undefined
  // Of a guest that has come meanwhile it is known what it has now, not how fast it did anything.
  if (!known) return { figures: { memoryBytes: after.memoryBytes }, disks: [], receivedBytes: 0, sentBytes: 0 }
  const pairs = after.disks.flatMap((disk) => {
    const earlier = known.disks.find(({ volume }) => volume === disk.volume)
    return earlier ? [[earlier, disk] as const] : []
  })
  return {
    figures: {
      ...machineFigures(known, after, seconds),
      ...(pairs.length > 0
        ? storageFigures(sum(pairs.map(([earlier]) => earlier)), sum(pairs.map(([, later]) => later)), seconds)
        : {}),
    },
    disks: pairs.map(([earlier, later]) => demandOf(earlier, later, seconds)),
    receivedBytes: grown(known.receivedBytes, after.receivedBytes),
    sentBytes: grown(known.sentBytes, after.sentBytes),
  }
}

function demandOf(before: DiskReading, after: DiskReading, seconds: number): DiskDemand {
  return {
    ...(after.volume === undefined ? {} : { volume: after.volume }),
    readsPerSecond: grown(before.reads, after.reads) / seconds,
    writesPerSecond: grown(before.writes, after.writes) / seconds,
    readBytesPerSecond: grown(before.readBytes, after.readBytes) / seconds,
    writtenBytesPerSecond: grown(before.writtenBytes, after.writtenBytes) / seconds,
  }
}

function machineFigures(before: Machine, after: Machine, seconds: number): Figures<'guest'> {
  return {
    cpuCores: grown(before.cpuMs, after.cpuMs) / 1000 / seconds,
    memoryBytes: after.memoryBytes,
    receivedBytesPerSecond: grown(before.receivedBytes, after.receivedBytes) / seconds,
    sentBytesPerSecond: grown(before.sentBytes, after.sentBytes) / seconds,
  }
}

function poolFigures(before: PoolReading | undefined, after: PoolReading, seconds: number): Figures<'pool'> {
  const { usedBytes, storage, busyMs } = after
  if (before?.device !== after.device || !before.storage || !storage) return { usedBytes }
  return {
    ...storageFigures(before.storage, storage, seconds),
    ...(busyMs === undefined || before.busyMs === undefined
      ? {}
      : { storageBusyRatio: Math.min(1, grown(before.busyMs, busyMs) / 1000 / seconds) }),
    usedBytes,
  }
}

function storageFigures(before: StorageCounters, after: StorageCounters, seconds: number) {
  const reads = grown(before.reads, after.reads)
  const writes = grown(before.writes, after.writes)
  return {
    readsPerSecond: reads / seconds,
    writesPerSecond: writes / seconds,
    readBytesPerSecond: grown(before.readBytes, after.readBytes) / seconds,
    writtenBytesPerSecond: grown(before.writtenBytes, after.writtenBytes) / seconds,
    ...latency('readLatencyMs', reads, before.readMs, after.readMs),
    ...latency('writeLatencyMs', writes, before.writeMs, after.writeMs),
  }
}

/** Where no request was, none took any time. */
function latency(name: 'readLatencyMs' | 'writeLatencyMs', requests: number, before?: number, after?: number) {
  if (requests === 0 || before === undefined || after === undefined) return {}
  return { [name]: grown(before, after) / requests }
}

/** A counter that is smaller than before has begun anew. */
function grown(before: number, after: number): number {
  return Math.max(0, after - before)
}

function devicesOf({ pools }: MeterReadings): Map<string, StorageCounters> {
  return new Map([...pools.values()].flatMap(({ device, storage }) => (storage ? [[device, storage] as const] : [])))
}

function sum(counters: readonly StorageCounters[]): StorageCounters {
  const all = (pick: (of: StorageCounters) => number) => counters.reduce((total, each) => total + pick(each), 0)
  const isTimed = counters.every(({ readMs, writeMs }) => readMs !== undefined && writeMs !== undefined)
  return {
    reads: all(({ reads }) => reads),
    writes: all(({ writes }) => writes),
    readBytes: all(({ readBytes }) => readBytes),
    writtenBytes: all(({ writtenBytes }) => writtenBytes),
    ...(isTimed ? { readMs: all(({ readMs = 0 }) => readMs), writeMs: all(({ writeMs = 0 }) => writeMs) } : {}),
  }
}
