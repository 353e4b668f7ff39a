/**
 * What guests can hold of a host to the exclusion of others, counted by class: devices, huge pages, processors. One
 * mechanism for all: a host tells how many shares of each class it has, a guest's platform how many it takes, and the
 * planner puts it only where they are free.
 */
import type { Guest } from './guest.ts'
import type { Host } from './host.ts'
import { HUGE_PAGES, type HugePages } from './platform.ts'

/** How a guest is given one: see docs/internals/platform.md. `mig` and `render` are for containers only. */
export const DEVICE_KINDS = ['pci', 'vf', 'mdev', 'vgpu', 'mig', 'render'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]

export interface HostDeviceClass {
  /** `gpu/nvidia-h200x-1-18c`. */
  readonly name: string
  readonly kind: DeviceKind
  /** How many there are, those that guests hold included. */
  readonly count: number
}

export type Shares = Readonly<Record<string, number>>

const DEDICATED_CPU = 'cpu/dedicated'
const hugePagesClass = (size: HugePages): string => `memory/huge-pages-${size.toLowerCase()}`
const SIZES = Object.keys(HUGE_PAGES) as readonly HugePages[]

export function sharesOfHost({ devices = [], hugePages = {}, cpuCount }: Host): Shares {
  return Object.fromEntries([
    ...devices.filter(({ kind }) => isForVms(kind)).map(({ name, count }) => [name, count] as const),
    ...SIZES.flatMap((size) => (hugePages[size] ? [[hugePagesClass(size), hugePages[size]] as const] : [])),
    [DEDICATED_CPU, cpuCount],
  ])
}

export function sharesOfGuest({
  platform = {},
  memoryBytes,
  cpus,
}: Pick<Guest, 'platform' | 'memoryBytes' | 'cpus'>): Shares {
  const { devices, hugePages, dedicatedCpus } = platform
  return {
    ...devices,
    ...(hugePages ? { [hugePagesClass(hugePages)]: Math.ceil(memoryBytes / HUGE_PAGES[hugePages]) } : {}),
    ...(dedicatedCpus ? { [DEDICATED_CPU]: cpus } : {}),
  }
}

export function isForVms(kind: DeviceKind): boolean {
  return kind !== 'mig' && kind !== 'render'
}

/** Memory that is set aside as huge pages, which no ordinary guest can have. */
export function hugePagesBytes({ hugePages = {} }: Pick<Host, 'hugePages'>): number {
  return SIZES.reduce((sum, size) => sum + (hugePages[size] ?? 0) * HUGE_PAGES[size], 0)
}
