/**
 * Ready sets of limits, after the sample files of OpenVZ. `vps.basic` and `vps.light` are the classic ones of its
 * x86_64 edition, with a limit of memory put in (OpenVZ bounded allocations, `privvmpages`, and had none of memory);
 * the others follow its VSwap samples: memory, and twice as much swap.
 */
import type { ContainerLimits } from './container-limits.ts'
import { PAGE_BYTES, pagesOf } from './container-resources.ts'

const MIB = 2 ** 20

export const CONTAINER_PRESETS = {
  unlimited: { numproc: {}, iolimit: {}, packetrate: {} },
  'vps.light': {
    lockedpages: both(4),
    numproc: both(40),
    physpages: { limit: pagesOf(64 * MIB) },
    swappages: { limit: pagesOf(64 * MIB) },
    vmguarpages: { barrier: 1725 },
    numtcpsock: both(40),
    numflock: { barrier: 50, limit: 60 },
    numpty: both(4),
    numsiginfo: both(256),
    tcpsndbuf: { barrier: 159_744, limit: 262_144 },
    tcprcvbuf: { barrier: 159_744, limit: 262_144 },
    numothersock: both(40),
    numfile: both(512),
    cpuunits: { limit: 250 },
    diskspace: { limit: 204_800 },
    diskinodes: { limit: 88_000 },
  },
  'vps.basic': {
    lockedpages: both(256),
    numproc: both(240),
    physpages: { limit: pagesOf(256 * MIB) },
    swappages: { limit: pagesOf(256 * MIB) },
    vmguarpages: { barrier: 33_792 },
    numtcpsock: both(360),
    numflock: { barrier: 188, limit: 206 },
    numpty: both(16),
    numsiginfo: both(256),
    tcpsndbuf: { barrier: 1_720_320, limit: 2_703_360 },
    tcprcvbuf: { barrier: 1_720_320, limit: 2_703_360 },
    numothersock: both(360),
    numfile: { barrier: 1024, limit: 9312 },
    cpuunits: { limit: 1000 },
    diskspace: { limit: 1_153_024 },
    diskinodes: { limit: 220_000 },
  },
  'vps.small': vswap(512, 4, 1000),
  'vps.medium': vswap(1024, 8, 1000),
  'vps.large': vswap(4096, 32, 1000),
} as const satisfies Record<string, ContainerLimits>

/**
 * What a preset says of memory and of the disk are the sizes that every guest has. The number of files is none: it
 * follows from the template's file system. Undefined: there is no such preset.
 */
export function presetParts(
  name: string,
): { readonly memoryBytes?: number; readonly diskBytes?: number; readonly limits: ContainerLimits } | undefined {
  if (!Object.hasOwn(CONTAINER_PRESETS, name)) return undefined
  const preset: ContainerLimits = CONTAINER_PRESETS[name as keyof typeof CONTAINER_PRESETS]
  const { physpages, diskspace, diskinodes: _files, ...limits } = preset
  return {
    ...(physpages?.limit === undefined ? {} : { memoryBytes: physpages.limit * PAGE_BYTES }),
    ...(diskspace?.limit === undefined ? {} : { diskBytes: diskspace.limit * 1024 }),
    limits,
  }
}

function vswap(memoryMiB: number, diskGiB: number, cpuunits: number): ContainerLimits {
  return {
    numproc: both(memoryMiB),
    physpages: { limit: pagesOf(memoryMiB * MIB) },
    swappages: { limit: pagesOf(2 * memoryMiB * MIB) },
    numpty: both(64),
    cpuunits: { limit: cpuunits },
    diskspace: { limit: diskGiB * MIB },
  }
}

function both(value: number): { barrier: number; limit: number } {
  return { barrier: value, limit: value }
}
