/** What this host's virtual machines use, and what their cards were refused. */
import { newLimitFailures, type ContainerCounter, type LimitFailure } from '@stead/core/model/container-counters.ts'
import { PAGE_BYTES } from '@stead/core/model/container-resources.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { ContainerRates } from '../container/cgroups/counter-sampler.ts'
import { isTapOf } from '../network/linux-network-host.ts'
import type { DroppedPackets } from './dropped-packets.ts'
import type { GuestFigures } from './host-counters.ts'
import { networkLinks, vmUsage, type VmUsage } from './vm-usage.ts'

interface VmFigures {
  readonly usage: VmUsage
  readonly at: number
  readonly rates?: Partial<ContainerRates>
  readonly counter: ContainerCounter
  /** What was dropped of a run before this one. */
  readonly droppedBefore: number
}

/** Two looks that lie closer together make no rate. */
const RATE_MS_MIN = 1_000

export class VmCounters {
  readonly #packetLimitOf: (guest: GuestId) => number | undefined
  readonly #figures = new Map<GuestId, VmFigures>()

  /** `packetLimitOf`: of a guest's card that may send the fewest packets a second. */
  constructor(packetLimitOf: (guest: GuestId) => number | undefined) {
    this.#packetLimitOf = packetLimitOf
  }

  /** Looks at those that run; returns what each was refused since the last look. */
  look(
    pids: ReadonlyMap<GuestId, number>,
    dropped: DroppedPackets,
    at: number,
  ): (readonly [GuestId, readonly LimitFailure[]])[] {
    for (const guest of this.#figures.keys()) if (!pids.has(guest)) this.#figures.delete(guest)
    if (pids.size === 0) return []
    const links = networkLinks()
    return [...pids].flatMap(([guest, pid]) => {
      const usage = vmUsage(guest, pid, links)
      if (!usage) return []
      const known = this.#figures.get(guest)
      const before = known?.usage.pid === pid ? known : undefined
      const total = dropped.of(links.filter((link) => isTapOf(guest, link)))
      // The QEMU before this one had the same port, maybe so shortly before that nobody saw it gone.
      const droppedBefore = before?.droppedBefore ?? (known ? total : 0)
      const rated = before && at - before.at < RATE_MS_MIN ? before : { usage, at, ...ratesSince(before, usage, at) }
      const counter = this.#counter(guest, rated.rates, before?.counter.maxHeld ?? 0, total - droppedBefore)
      this.#figures.set(guest, { ...rated, counter, droppedBefore })
      return [[guest, newLimitFailures({ packetrate: before?.counter.failures ?? 0 }, [counter])] as const]
    })
  }

  /** As of the last look; undefined: it is no virtual machine that runs here. */
  of(guest: GuestId): readonly ContainerCounter[] | undefined {
    const known = this.#figures.get(guest)
    return known && [known.counter]
  }

  usage(): (readonly [GuestId, VmUsage])[] {
    return [...this.#figures].map(([guest, { usage }]) => [guest, usage] as const)
  }

  figures(): GuestFigures[] {
    return [...this.#figures].map(([guest, { usage, rates, counter }]) => ({
      guest,
      held: { physpages: Math.ceil(usage.memoryBytes / PAGE_BYTES) },
      failures: counter.failures ? { packetrate: counter.failures } : {},
      ...(rates ? { rates } : {}),
    }))
  }

  #counter(
    guest: GuestId,
    rates: Partial<ContainerRates> | undefined,
    heldBefore: number,
    failures: number,
  ): ContainerCounter {
    const limit = this.#packetLimitOf(guest) ?? null
    const held = rates?.sentPacketsPerSecond === undefined ? null : Math.round(rates.sentPacketsPerSecond)
    const maxHeld = held === null ? null : Math.max(held, heldBefore)
    return { resource: 'packetrate', held, maxHeld, barrier: null, limit, failures, enforced: 'limit' }
  }
}

function ratesSince(
  before: VmFigures | undefined,
  usage: VmUsage,
  at: number,
): { readonly rates?: Partial<ContainerRates> } {
  if (!before) return {}
  const seconds = (at - before.at) / 1000
  const each = (pick: (of: VmUsage) => number) => Math.max(0, pick(usage) - pick(before.usage)) / seconds
  const rates = {
    cpuPercent: each(({ cpuMicroseconds }) => cpuMicroseconds) / 10_000,
    memoryBytes: usage.memoryBytes,
    receivedBytesPerSecond: each(({ receivedBytes }) => receivedBytes),
    sentBytesPerSecond: each(({ sentBytes }) => sentBytes),
    sentPacketsPerSecond: each(({ sentPackets }) => sentPackets),
  }
  return { rates }
}
