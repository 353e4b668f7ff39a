/** A container's limits as control groups know them, before either family's files and scales. */
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import { PAGE_BYTES } from '@stead/core/model/container-resources.ts'

/** Absent: unlimited, or the kernel's ordinary share. */
export interface CgroupSettings {
  readonly memoryMaxBytes?: number | undefined
  readonly memoryHighBytes?: number | undefined
  readonly memoryLowBytes?: number | undefined
  readonly swapMaxBytes?: number | undefined
  readonly tcpBytes?: number | undefined
  readonly processesMax?: number | undefined
  /** Of the ordinary share: 2 is twice as much. */
  readonly cpuShare?: number | undefined
  readonly processors?: number | undefined
  /** As the kernel lists them: `0-3,8`. */
  readonly pinnedTo?: string | undefined
  readonly ioShare?: number | undefined
  readonly ioBytesPerSecond?: number | undefined
  readonly ioOperationsPerSecond?: number | undefined
  /** `major:minor` of the root's loop device, to which the I/O limits apply. */
  readonly device?: string | undefined
}

export interface Placement {
  readonly device?: string | undefined
  readonly pinnedTo?: string | undefined
}

export const CPU_PERIOD_US = 100_000

export function cgroupSettings(limits: ContainerLimits, placement: Placement = {}): CgroupSettings {
  const { physpages, swappages, vmguarpages, numproc, cpuunits, cpulimit, cpus, ioprio, iolimit, iopslimit } = limits
  const processors = Math.min((cpulimit?.limit ?? Infinity) / 100, cpus?.limit ?? Infinity)
  const { tcpsndbuf, tcprcvbuf } = limits
  const tcp =
    tcpsndbuf?.limit === undefined || tcprcvbuf?.limit === undefined ? undefined : tcpsndbuf.limit + tcprcvbuf.limit
  return {
    memoryMaxBytes: bytes(physpages?.limit),
    // OpenVZ's files say 0 for a barrier that is not used.
    memoryHighBytes: bytes(physpages?.barrier || undefined),
    memoryLowBytes: bytes(vmguarpages?.barrier || undefined),
    swapMaxBytes: bytes(swappages?.limit),
    tcpBytes: tcp,
    processesMax: numproc?.limit,
    cpuShare: cpuunits?.limit === undefined ? undefined : cpuunits.limit / 1000,
    processors: Number.isFinite(processors) ? processors : undefined,
    ioShare: ioprio?.limit === undefined ? undefined : 2 ** (ioprio.limit - 4),
    ioBytesPerSecond: iolimit?.limit,
    ioOperationsPerSecond: iopslimit?.limit,
    ...placement,
  }
}

export function between(lowest: number, value: number, highest: number): number {
  return Math.min(highest, Math.max(lowest, Math.round(value)))
}

function bytes(pages: number | undefined): number | undefined {
  return pages === undefined ? undefined : pages * PAGE_BYTES
}
