/** `HostMeters` on Linux: /proc and /sys for the host, the guests' control groups, taps and QEMUs for the guests. */
import { existsSync, readdirSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { GuestId } from '@stead/core/model/ids.ts'
import type {
  DiskReading,
  GuestReading,
  HostMeters,
  HostReading,
  MeterReadings,
} from '@stead/core/ports/host-meters.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Result } from '@stead/core/result.ts'
import { readNumber, readText } from '../container/cgroups/cgroup-tree.ts'
import type { GuestUsage } from '../counters/host-counters.ts'
import { isGuestPort } from '../network/linux-network-host.ts'
import { PoolReadings, type PoolPlace } from './pool-readings.ts'

export interface LinuxHostMetersOptions {
  readonly pools: readonly PoolPlace[]
  /** This host's own, one a network. */
  readonly addresses: readonly string[]
  /** Looks at all guests that run here. */
  readonly usage: () => Promise<ReadonlyMap<GuestId, GuestUsage>>
  /** What a virtual machine's QEMU counts of its disks. */
  readonly diskReadings: (guest: GuestId) => Promise<Result<readonly DiskReading[]>>
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** USER_HZ (`man 7 time`). */
const TICK_MS = 10
/** So many guests are asked at a time. */
const GUESTS_AT_ONCE = 16

export class LinuxHostMeters implements HostMeters {
  readonly #options: LinuxHostMetersOptions
  readonly #pools: PoolReadings

  constructor(options: LinuxHostMetersOptions) {
    this.#options = options
    this.#pools = new PoolReadings(options.pools)
  }

  async read(): Promise<MeterReadings> {
    const { clock, usage, addresses } = this.#options
    const used = await usage()
    const [pools, disks] = await Promise.all([this.#pools.read(), this.#disks(used)])
    const guests = [...used].map(([id, of]) => [id, guestReading(of, disks.get(id) ?? [])] as const)
    return { atMs: clock.monotonicMs(), host: hostReading(addresses), pools, guests: new Map(guests) }
  }

  async #disks(used: ReadonlyMap<GuestId, GuestUsage>): Promise<ReadonlyMap<GuestId, readonly DiskReading[]>> {
    const machines = [...used].flatMap(([id, { storage }]) => (storage ? [] : [id]))
    const found = new Map<GuestId, readonly DiskReading[]>()
    for (let first = 0; first < machines.length; first += GUESTS_AT_ONCE)
      await Promise.all(
        machines.slice(first, first + GUESTS_AT_ONCE).map(async (id) => {
          const readings = await this.#options.diskReadings(id)
          if (readings.ok) found.set(id, readings.value)
        }),
      )
    return found
  }
}

function guestReading({ storage, cpuMicroseconds, ...usage }: GuestUsage, disks: readonly DiskReading[]): GuestReading {
  return { ...usage, cpuMs: cpuMicroseconds / 1000, disks: storage ? [storage] : disks }
}

function hostReading(addresses: readonly string[]): HostReading {
  // user nice system idle iowait irq softirq steal; what guests use is in the first two already.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (readText('/proc/stat') ?? '')
    .slice('cpu  '.length)
    .split(' ', 8)
    .map(Number)
  const memory = readText('/proc/meminfo') ?? ''
  const kibibytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0)
  const links = linksOf(addresses)
  const sum = (name: string) =>
    links.reduce((bytes, link) => bytes + (readNumber(`/sys/class/net/${link}/statistics/${name}`) ?? 0), 0)
  return {
    cpuMs: (user + nice + system + irq + softirq + steal) * TICK_MS,
    memoryBytes: (kibibytes('MemTotal') - kibibytes('MemAvailable')) * 1024,
    receivedBytes: sum('rx_bytes'),
    sentBytes: sum('tx_bytes'),
  }
}

/** Those that carry the host's addresses; of a bridge its ports that lead outside, so that the guests' traffic counts. */
function linksOf(addresses: readonly string[]): string[] {
  const links = Object.entries(networkInterfaces()).flatMap(([name, known = []]) =>
    known.some(({ address }) => addresses.includes(address)) ? [name] : [],
  )
  return links.flatMap((link) => {
    const ports = join('/sys/class/net', link, 'brif')
    return existsSync(ports) ? readdirSync(ports).filter((port) => !isGuestPort(port)) : [link]
  })
}
