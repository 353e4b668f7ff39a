/**
 * `HostMeters` of a simulated machine. Each guest has a load of its own that rises and falls: its counters are the area
 * below waves, so that a look at any moment of any time needs no history.
 */
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type {
  GuestReading,
  HostMeters,
  MeterReadings,
  PoolReading,
  StorageCounters,
} from '@stead/core/ports/host-meters.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'

export interface MemoryHostMetersOptions {
  readonly guests: Pick<MemoryMachine, 'processes'>
  /** By name, each on a disk of its own. */
  readonly pools: readonly string[]
  /** Where the host's replica of a volume lies. */
  readonly poolOf: (volume: VolumeId) => string | undefined
  readonly monotonicMs: () => number
}

const PERIOD_MS = 20 * 60_000
/** What one request of a simulated disk takes. */
const READ_MS = 0.15
const WRITE_MS = 0.5
const REQUEST_BYTES = 16 * 1024
const USED_BYTES = 200 * 2 ** 30
const NOTHING: StorageCounters = { reads: 0, writes: 0, readBytes: 0, writtenBytes: 0, readMs: 0, writeMs: 0 }

export class MemoryHostMeters implements HostMeters {
  readonly #options: MemoryHostMetersOptions

  constructor(options: MemoryHostMetersOptions) {
    this.#options = options
  }

  async read(): Promise<MeterReadings> {
    const { guests: machine, pools, poolOf, monotonicMs } = this.#options
    const atMs = monotonicMs()
    const guests = new Map<GuestId, GuestReading>()
    for (const [id, process] of machine.processes) guests.set(id, readingOf(process, atMs))
    const all = [...guests.values()]
    const sum = (pick: (guest: GuestReading) => number) => all.reduce((total, guest) => total + pick(guest), 0)
    const disks = all.flatMap((guest) => guest.disks)
    const poolReading = (name: string): PoolReading => {
      const there = disks.filter(({ volume }) => volume !== undefined && poolOf(volume) === name)
      const storage = there.reduce(added, NOTHING)
      const busyMs = Math.min(atMs, (storage.readMs ?? 0) + (storage.writeMs ?? 0))
      return { device: name, storage, busyMs, usedBytes: USED_BYTES + storage.writtenBytes / 100 }
    }
    return {
      atMs,
      host: {
        // The agents' own part is always there.
        cpuMs: sum(({ cpuMs }) => cpuMs) + atMs * 0.02,
        memoryBytes: sum(({ memoryBytes }) => memoryBytes),
        receivedBytes: sum(({ receivedBytes }) => receivedBytes),
        sentBytes: sum(({ sentBytes }) => sentBytes),
      },
      pools: new Map(pools.map((name) => [name, poolReading(name)])),
      guests,
    }
  }
}

function readingOf({ launch, pid }: Process, atMs: number): GuestReading {
  // What a guest is like stays so for all its runs.
  const seed = seedOf(launch.guest)
  const amount = (perSecond: number, phase: number) => (perSecond * area(atMs, seed + phase)) / 1000
  const reads = amount(5 + 40 * seed, 0.1)
  const writes = amount(10 + 60 * seed, 0.3)
  const share = Math.max(1, launch.disks.length)
  return {
    run: `pid ${pid}`,
    cpuMs: amount(1000 * launch.cpus * (0.05 + 0.4 * seed), 0),
    memoryBytes: launch.memoryBytes * (0.3 + 0.6 * seed),
    receivedBytes: amount(400_000 * seed, 0.5),
    sentBytes: amount(900_000 * seed, 0.6),
    disks: launch.disks.map(({ volume }) => ({
      volume,
      ...{ reads: reads / share, writes: writes / share },
      ...{ readBytes: (reads / share) * REQUEST_BYTES, writtenBytes: (writes / share) * REQUEST_BYTES },
      ...{ readMs: (reads / share) * READ_MS, writeMs: (writes / share) * WRITE_MS },
    })),
  }
}

/** Of a wave between nothing and twice its mean, from the machine's start on: it never falls. */
function area(ms: number, phase: number): number {
  const turn = (2 * Math.PI) / PERIOD_MS
  const at = (time: number) => time - Math.cos(turn * time + 2 * Math.PI * phase) / turn
  return at(ms) - at(0)
}

/** Between 0 and 1. */
function seedOf(guest: GuestId): number {
  let hash = 2_166_136_261
  for (const letter of guest) hash = Math.imul(hash ^ letter.codePointAt(0)!, 16_777_619) >>> 0
  return hash / 2 ** 32
}

function added(sum: StorageCounters, disk: StorageCounters): StorageCounters {
  return {
    reads: sum.reads + disk.reads,
    writes: sum.writes + disk.writes,
    readBytes: sum.readBytes + disk.readBytes,
    writtenBytes: sum.writtenBytes + disk.writtenBytes,
    readMs: (sum.readMs ?? 0) + (disk.readMs ?? 0),
    writeMs: (sum.writeMs ?? 0) + (disk.writeMs ?? 0),
  }
}
