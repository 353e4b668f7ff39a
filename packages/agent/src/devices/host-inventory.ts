/** What a host tells of itself beyond its configuration: devices and huge pages. Looked at again now and then. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from '@stead/core/model/host.ts'
import { HUGE_PAGES, type HugePages } from '@stead/core/model/platform.ts'
import { classesOf, readDevices } from './sysfs-devices.ts'

export type HostInventory = Pick<Host, 'devices' | 'hugePages'>

export function readInventory(root: string): HostInventory {
  const devices = classesOf(readDevices(root, migList()))
  const hugePages: Partial<Record<HugePages, number>> = {}
  for (const [size, bytes] of Object.entries(HUGE_PAGES) as [HugePages, number][]) {
    const count = hugePagesOf(root, bytes)
    if (count > 0) hugePages[size] = count
  }
  return {
    ...(devices.length === 0 ? {} : { devices }),
    ...(Object.keys(hugePages).length === 0 ? {} : { hugePages }),
  }
}

/** All that were set aside, those that guests hold included. */
function hugePagesOf(root: string, bytes: number): number {
  try {
    return Number(readFileSync(join(root, `sys/kernel/mm/hugepages/hugepages-${bytes / 1024}kB/nr_hugepages`), 'utf8'))
  } catch {
    // The processor has no pages of this size.
    return 0
  }
}

function migList(): string {
  const asked = spawnSync('nvidia-smi', ['-L'], { encoding: 'utf8', timeout: 5_000 })
  return asked.status === 0 ? asked.stdout : ''
}

/** `0-3,8` -> 0, 1, 2, 3, 8. */
export function cpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })
}
