/** How much memory and how many processors a guest can have while it runs, and what of its host is promised to it. */
import { effectiveLimits } from './container-limits.ts'
import { PAGE_BYTES } from './container-resources.ts'
import type { Guest } from './guest.ts'

/** What a running guest had before it was asked for less: it is the guest's until it has given it back. */
export interface GuestHolds {
  readonly memoryBytes: number
  readonly cpus: number
}

export type Size = GuestHolds

/** Linux takes and gives memory in steps of 2 or 4 MiB (its page blocks); a smaller difference is none. */
export const MEMORY_STEP_BYTES = 4 * 2 ** 20

/** A guest keeps at least this, whatever its balloon is asked for. */
export const BALLOON_MIN_BYTES = 16 * 2 ** 20

/** Places for more processors cost next to nothing, so a new guest has some without being asked. */
const CPUS_MAX_DEFAULT = 16

/** Of a new guest that says nothing of it. One whose processors are bound to those of its host cannot grow. */
export function defaultCpusMax({ cpus, platform }: Pick<Guest, 'cpus' | 'platform'>): number | undefined {
  return platform?.dedicatedCpus ? undefined : Math.max(cpus, Math.min(4 * cpus, CPUS_MAX_DEFAULT))
}

/** What makes a start leave room for growth; what a guest asks for beyond its maximum it has from its start. */
export function growthOf({ memoryBytes, cpus, memoryMaxBytes, cpusMax }: Guest) {
  return {
    ...(cpusMax === undefined ? {} : { cpusMax: Math.max(cpusMax, cpus) }),
    ...(memoryMaxBytes === undefined ? {} : { memoryMaxBytes: Math.max(memoryMaxBytes, memoryBytes) }),
  }
}

/** What a host must count for a guest: while it runs there also what it has not given back yet. */
export function promisedTo(guest: Guest, runsThere: boolean): Size {
  const { holds } = guest
  const { memoryBytes, cpus } = sizeOf(guest)
  if (!runsThere || !holds) return { memoryBytes, cpus }
  return { memoryBytes: Math.max(memoryBytes, holds.memoryBytes), cpus: Math.max(cpus, holds.cpus) }
}

/**
 * What the guest may take. A container's own limits win over its size, so a host, and a project's quota, must count those;
 * whole processors, since others cannot count on the rest of one.
 */
function sizeOf({ memoryBytes, cpus, container }: Guest): Size {
  if (!container) return { memoryBytes, cpus }
  const limits = effectiveLimits(container.limits ?? {}, { memoryBytes, cpus })
  const pages = limits.physpages?.limit
  const time = [limits.cpus?.limit ?? Infinity, (limits.cpulimit?.limit ?? Infinity) / 100]
  const shares = Math.ceil(Math.min(...time))
  return {
    memoryBytes: pages === undefined ? memoryBytes : pages * PAGE_BYTES,
    cpus: Number.isFinite(shares) ? shares : cpus,
  }
}

/** The guest as it is to be, with what it may keep meanwhile when it runs and is asked for less. */
export function withSize(guest: Guest, size: Partial<Size>, runs: boolean): Guest {
  const { holds: _before, ...rest } = guest
  const next: Guest = { ...rest, ...size }
  if (!runs) return next
  const before = promisedTo(guest, true)
  const after = sizeOf(next)
  const isLess = after.memoryBytes < before.memoryBytes || after.cpus < before.cpus
  return isLess ? { ...next, holds: before } : next
}

/** Whether what a running guest has is what it should have. */
export function isSameMemory(aBytes: number, bBytes: number): boolean {
  return Math.abs(aBytes - bBytes) < MEMORY_STEP_BYTES
}
