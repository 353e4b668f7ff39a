/**
 * How much of a host its containers use, were promised and may take: what `vzmemcheck`, `vzcalc` and `vzcpucheck` told
 * of an OpenVZ node. Formulas and levels are those of https://wiki.openvz.org/UBC_systemwide_configuration (kernel
 * memory: 40 % of the memory is what a kernel should hold; below 1 normal, above 2 dangerous; memory and swap: a
 * commitment of 0.8 to 1 is normal, more is "strongly not recommended"; one container should not be allowed more than
 * 60 % of the memory), with three differences that today's kernels make:
 *
 * - kernel memory and socket buffers are part of `physpages`, so they are not added to it a second time;
 * - what bounds a container is `physpages` and `swappages`, where OpenVZ had `privvmpages`, which is per process here;
 * - OpenVZ's "power of the node" came from the clock rate. Here a processor is worth 1,000 units, the ordinary share:
 *   when all promised units exceed the host's, a container of 1,000 units is sure of less than one processor.
 */
import { CONTAINER_RESOURCE_NAMES, PAGE_BYTES, type ContainerResourceName } from './container-resources.ts'
import type { ContainerLimits } from './container-limits.ts'

export interface HostCapacity {
  readonly host: string
  readonly memoryBytes: number
  readonly swapBytes: number
  readonly cpus: number
  /** `kernel.pid_max` or `kernel.threads-max`, whichever is less. */
  readonly processesMax: number
}

export interface ContainerUse {
  readonly container: string
  readonly limits: ContainerLimits
  /** What it holds, in the resources' units; of one that does not run, nothing. */
  readonly held: { readonly [Name in ContainerResourceName]?: number | null }
}

export type CommitmentLevel = 'normal' | 'high' | 'unsafe' | 'dangerous'

export const COMMITMENT_MEASURES = ['kernel-memory', 'memory', 'memory-and-swap', 'processes', 'cpu'] as const
export type CommitmentMeasure = (typeof COMMITMENT_MEASURES)[number]

/**
 * Amounts are bytes, processes, or CPU units. `null` of `allowed`: some container has no limit, so all of them together
 * may take everything.
 */
export interface CommitmentRow {
  readonly measure: CommitmentMeasure
  readonly capacity: number
  readonly used: number
  readonly promised: number
  readonly allowed: number | null
  /** Used, promised and allowed as parts of the capacity: 1 is all of it. */
  readonly utilization: number
  readonly commitment: number
  readonly reach: number | null
  readonly level: CommitmentLevel
}

export interface OvercommitReport {
  readonly host: string
  readonly rows: readonly CommitmentRow[]
  /** More is promised than there is, of memory or processes. */
  readonly oversold: boolean
  /** Containers that alone may take more than 60 % of the memory, or that nothing bounds. */
  readonly tooLarge: readonly string[]
}

const KERNEL_SHARE = 0.4
const CONTAINER_SHARE_MAX = 0.6
const UNITS_PER_CPU = 1000
const UNITS_DEFAULT = 1000

interface Sums {
  used: number
  promised: number
  allowed: number | null
}

export function overcommitOf(capacity: HostCapacity, containers: readonly ContainerUse[]): OvercommitReport {
  const memorySwap = capacity.memoryBytes + capacity.swapBytes
  const rows = [
    row('kernel-memory', KERNEL_SHARE * capacity.memoryBytes, sum(containers, kernelMemory)),
    row('memory', capacity.memoryBytes, sum(containers, memory)),
    row('memory-and-swap', memorySwap, sum(containers, memoryAndSwap)),
    row('processes', capacity.processesMax, sum(containers, processes)),
    row('cpu', capacity.cpus * UNITS_PER_CPU, sum(containers, cpu)),
  ]
  const oversold = rows.some(({ measure, commitment }) => measure !== 'cpu' && commitment > 1)
  const tooLarge = containers.filter(({ limits }) => {
    const limit = limits.physpages?.limit
    return limit === undefined || limit * PAGE_BYTES > CONTAINER_SHARE_MAX * capacity.memoryBytes
  })
  return { host: capacity.host, rows, oversold, tooLarge: tooLarge.map(({ container }) => container) }
}

/** All hosts as one: what is left of the cluster, wherever it is. A host of its own may be oversold all the same. */
export function clusterOvercommit(
  hosts: readonly { readonly capacity: HostCapacity; readonly containers: readonly ContainerUse[] }[],
): OvercommitReport {
  const total = (pick: (capacity: HostCapacity) => number) =>
    hosts.reduce((sum, { capacity }) => sum + pick(capacity), 0)
  const whole: HostCapacity = {
    host: '',
    memoryBytes: total(({ memoryBytes }) => memoryBytes),
    swapBytes: total(({ swapBytes }) => swapBytes),
    cpus: total(({ cpus }) => cpus),
    processesMax: total(({ processesMax }) => processesMax),
  }
  const report = overcommitOf(
    whole,
    hosts.flatMap(({ containers }) => containers),
  )
  // A container runs on one host: it is too large for that one, not for all together.
  const tooLarge = hosts.flatMap(({ capacity, containers }) => overcommitOf(capacity, containers).tooLarge)
  return { ...report, tooLarge }
}

/** What `vzcalc` showed: the container's own part of each measure of its host. */
export function containerShare(capacity: HostCapacity, container: ContainerUse): readonly CommitmentRow[] {
  return overcommitOf(capacity, [container]).rows
}

/** Of what is allowed, kernel memory cannot exceed the memory that holds it. */
function kernelMemory({ limits, held }: ContainerUse): Sums {
  const buffers = ['tcpsndbuf', 'tcprcvbuf', 'othersockbuf', 'dgramrcvbuf'] as const
  const used = [held.kmemsize, ...buffers.map((name) => held[name])].reduce<number>((sum, part) => sum + (part ?? 0), 0)
  const bounds = [limits.kmemsize?.limit, ...buffers.map((name) => limits[name]?.limit)]
  const parts = bounds.every((bound) => bound !== undefined) ? bounds.reduce((sum, part) => sum + part, 0) : Infinity
  const memoryLimit = limits.physpages?.limit === undefined ? Infinity : limits.physpages.limit * PAGE_BYTES
  const allowed = Math.min(parts, memoryLimit)
  // Nothing but an explicit limit of kernel memory was ever called a promise of it.
  return { used, promised: Number.isFinite(parts) ? allowed : 0, allowed: Number.isFinite(allowed) ? allowed : null }
}

function memory({ limits, held }: ContainerUse): Sums {
  const allowed = bytes(limits.physpages?.limit)
  const promised = bytes(limits.vmguarpages?.barrier) ?? 0
  return { used: bytes(held.physpages) ?? 0, promised: Math.min(promised, allowed ?? Infinity), allowed }
}

/**
 * A container that was sold memory and swap was promised them, unless a guarantee (`vmguarpages`, as in OpenVZ's
 * commitment of allocations) says what was really promised.
 */
function memoryAndSwap({ limits, held }: ContainerUse): Sums {
  const { physpages, swappages, vmguarpages } = limits
  const allowed =
    physpages?.limit === undefined || swappages?.limit === undefined ? null : bytes(physpages.limit + swappages.limit)
  const used = bytes((held.physpages ?? 0) + (held.swappages ?? 0)) ?? 0
  return { used, promised: bytes(vmguarpages?.barrier) ?? allowed ?? bytes(physpages?.limit) ?? 0, allowed }
}

function processes({ limits, held }: ContainerUse): Sums {
  return { used: held.numproc ?? 0, promised: limits.numproc?.limit ?? 0, allowed: limits.numproc?.limit ?? null }
}

function cpu({ limits, held }: ContainerUse): Sums {
  const percent = Math.min(limits.cpulimit?.limit ?? Infinity, (limits.cpus?.limit ?? Infinity) * 100)
  return {
    used: ((held.cpulimit ?? 0) / 100) * UNITS_PER_CPU,
    promised: limits.cpuunits?.limit ?? UNITS_DEFAULT,
    allowed: Number.isFinite(percent) ? (percent / 100) * UNITS_PER_CPU : null,
  }
}

function row(measure: CommitmentMeasure, capacity: number, { used, promised, allowed }: Sums): CommitmentRow {
  const part = (amount: number) => (capacity === 0 ? (amount === 0 ? 0 : Infinity) : amount / capacity)
  const [utilization, commitment] = [part(used), part(promised)]
  const reach = allowed === null ? null : part(allowed)
  const level = levelOf(measure, utilization, commitment)
  return { measure, capacity, used, promised, allowed, utilization, commitment, reach, level }
}

function levelOf(measure: CommitmentMeasure, utilization: number, commitment: number): CommitmentLevel {
  // Processor time that was promised twice is slower and harms nothing else.
  if (measure === 'cpu') return commitment > 1 || utilization > 0.9 ? 'high' : 'normal'
  if (measure === 'kernel-memory') {
    if (utilization > 2) return 'dangerous'
    if (utilization > 1 || commitment > 1.2) return 'unsafe'
    return commitment > 1 ? 'high' : 'normal'
  }
  if (utilization > 1) return 'dangerous'
  if (commitment > 1) return 'unsafe'
  return utilization > 0.8 || commitment > 0.8 ? 'high' : 'normal'
}

function sum(containers: readonly ContainerUse[], of: (container: ContainerUse) => Sums): Sums {
  return containers.map(of).reduce<Sums>(
    (total, part) => ({
      used: total.used + part.used,
      promised: total.promised + part.promised,
      allowed: total.allowed === null || part.allowed === null ? null : total.allowed + part.allowed,
    }),
    { used: 0, promised: 0, allowed: 0 },
  )
}

function bytes(pages: number | null | undefined): number | null {
  return pages === null || pages === undefined ? null : pages * PAGE_BYTES
}

/** What a container holds, from its counters. */
export function heldOf(
  counters: readonly { readonly resource: ContainerResourceName; readonly held: number | null }[],
): ContainerUse['held'] {
  const known = new Map(counters.map(({ resource, held }) => [resource, held]))
  return Object.fromEntries(CONTAINER_RESOURCE_NAMES.map((name) => [name, known.get(name) ?? null]))
}
