/** A container's control groups of v1: one folder in the hierarchy of each controller. */
import { dirname, join } from 'node:path'
import type { CounterReadings } from '@stead/core/model/container-counters.ts'
import { PAGE_BYTES, type ContainerResourceName } from '@stead/core/model/container-resources.ts'
import type { Result } from '@stead/core/result.ts'
import { between, CPU_PERIOD_US, type CgroupSettings } from './cgroup-settings.ts'
import { groupsIn, processesOf, readKeys, readNumber, readText, type CgroupMounts } from './cgroup-tree.ts'
import { lackedBy, writeFiles, type CgroupFile, type CgroupUsage, type ContainerCgroup } from './cgroup-files.ts'

/** In an order in which a first start can write them: memory before memory and swap together. */
export function v1Files(settings: CgroupSettings): CgroupFile[] {
  const { memoryMaxBytes, memoryHighBytes, memoryLowBytes, swapMaxBytes, tcpBytes } = settings
  const { processesMax, cpuShare, processors, pinnedTo, ioShare, ioBytesPerSecond, ioOperationsPerSecond } = settings
  const together =
    memoryMaxBytes === undefined || swapMaxBytes === undefined ? undefined : memoryMaxBytes + swapMaxBytes
  return [
    // The one soft limit of v1 is a guarantee seen from the other side: what is above it is taken first.
    file('memory', 'memory.soft_limit_in_bytes', memoryLowBytes ?? memoryHighBytes, '-1', ['vmguarpages']),
    file('memory', 'memory.limit_in_bytes', memoryMaxBytes, '-1', ['physpages']),
    { ...file('memory', 'memory.memsw.limit_in_bytes', together, '-1', ['swappages']), isOptional: true },
    {
      ...file('memory', 'memory.kmem.tcp.limit_in_bytes', tcpBytes, '-1', ['tcpsndbuf', 'tcprcvbuf']),
      isOptional: true,
    },
    file('pids', 'pids.max', processesMax, 'max', ['numproc']),
    file('cpu', 'cpu.shares', scaled(cpuShare, 1024, 2, 262_144), '1024', ['cpuunits']),
    file('cpu', 'cpu.cfs_period_us', processors && CPU_PERIOD_US, String(CPU_PERIOD_US), ['cpulimit', 'cpus']),
    file('cpu', 'cpu.cfs_quota_us', processors && Math.round(processors * CPU_PERIOD_US), '-1', ['cpulimit', 'cpus']),
    ...(pinnedTo === undefined ? [] : [file('cpuset', 'cpuset.cpus', pinnedTo, '', [])]),
    { ...file('blkio', 'blkio.bfq.weight', scaled(ioShare, 100, 1, 1000), '100', ['ioprio']), isOptional: true },
    ...throttle(settings.device, 'bps', ioBytesPerSecond, 'iolimit'),
    ...throttle(settings.device, 'iops', ioOperationsPerSecond, 'iopslimit'),
  ]
}

function throttle(
  device: string | undefined,
  unit: 'bps' | 'iops',
  limit: number | undefined,
  resource: ContainerResourceName,
): CgroupFile[] {
  if (device === undefined) return []
  return ['read', 'write'].map((direction) => ({
    controller: 'blkio',
    name: `blkio.throttle.${direction}_${unit}_device`,
    // Zero takes the rule away.
    value: `${device} ${limit ?? 0}`,
    resources: [resource],
    isLimit: limit !== undefined,
  }))
}

export class CgroupV1 implements ContainerCgroup {
  readonly family = 'v1'
  readonly lacks: ReadonlySet<ContainerResourceName>
  readonly #at: CgroupMounts
  /** Forks refused in inner groups, which v1 counts there only; as of the last walk. */
  #innerRefusals = 0

  constructor(at: CgroupMounts) {
    this.#at = at
    this.lacks = lackedBy(at, v1Files({ device: '0:0' }))
  }

  set(settings: CgroupSettings): Result<void> {
    const { cpuset } = this.#at.folders
    const files = v1Files(
      settings.pinnedTo === undefined && cpuset !== undefined
        ? { ...settings, pinnedTo: readText(join(dirname(cpuset), 'cpuset.cpus'))?.trim() }
        : settings,
    )
    // Memory may never be above memory and swap together: which of the two goes first depends on the direction.
    const at = files.findIndex(({ name }) => name === 'memory.limit_in_bytes')
    const [memory, together] = files.slice(at, at + 2)
    const isLower =
      settings.memoryMaxBytes !== undefined &&
      settings.memoryMaxBytes <= this.#number('memory', 'memory.memsw.limit_in_bytes', Infinity)
    if (memory && together && !isLower) files.splice(at, 2, together, memory)
    return writeFiles(this.#at, files)
  }

  usage(): CgroupUsage {
    const bytes = directions(readText(this.#path('blkio', 'blkio.throttle.io_service_bytes_recursive')))
    const requests = directions(readText(this.#path('blkio', 'blkio.throttle.io_serviced_recursive')))
    return {
      cpuMicroseconds: Math.round(this.#number('cpuacct', 'cpuacct.usage') / 1000),
      memoryBytes: this.#number('memory', 'memory.usage_in_bytes'),
      readBytes: bytes.read,
      writtenBytes: bytes.write,
      reads: requests.read,
      writes: requests.write,
    }
  }

  counters(): CounterReadings {
    const stat = readKeys(this.#path('memory', 'memory.stat'))
    const memoryBytes = this.#number('memory', 'memory.usage_in_bytes')
    const memsw = this.#number('memory', 'memory.memsw.usage_in_bytes', memoryBytes)
    const killed = readKeys(this.#path('memory', 'memory.oom_control')).get('oom_kill') ?? 0
    const refused = readKeys(this.#path('pids', 'pids.events')).get('max') ?? 0
    const pages = (key: string) => Math.ceil((stat.get(`total_${key}`) ?? 0) / PAGE_BYTES)
    return {
      kmemsize: {
        held: this.#number('memory', 'memory.kmem.usage_in_bytes'),
        maxHeld: this.#number('memory', 'memory.kmem.max_usage_in_bytes'),
      },
      lockedpages: { held: pages('unevictable') },
      shmpages: { held: pages('shmem') },
      numproc: {
        held: this.#number('pids', 'pids.current'),
        maxHeld: readNumber(this.#path('pids', 'pids.peak')),
        failures: refused + this.#innerRefusals,
      },
      physpages: {
        held: Math.ceil(memoryBytes / PAGE_BYTES),
        maxHeld: Math.ceil(this.#number('memory', 'memory.max_usage_in_bytes') / PAGE_BYTES),
        // `memory.failcnt` also counts every reclaim at the limit, which whoever reads files meets all day.
        failures: killed,
      },
      oomguarpages: { held: Math.ceil(memsw / PAGE_BYTES), failures: killed },
      swappages: { held: pages('swap'), failures: this.#number('memory', 'memory.memsw.failcnt') },
      tcpsndbuf: {
        held: this.#number('memory', 'memory.kmem.tcp.usage_in_bytes'),
        maxHeld: this.#number('memory', 'memory.kmem.tcp.max_usage_in_bytes'),
        failures: this.#number('memory', 'memory.kmem.tcp.failcnt'),
      },
      cpulimit: { failures: readKeys(this.#path('cpu', 'cpu.stat')).get('nr_throttled') ?? 0 },
    }
  }

  processes(): readonly number[] {
    const folder = this.#at.folders.pids ?? this.#at.folders.memory
    if (folder === undefined) return []
    const groups = groupsIn(folder)
    this.#innerRefusals = groups
      .filter((group) => group !== folder)
      .reduce((sum, group) => sum + (readKeys(join(group, 'pids.events')).get('max') ?? 0), 0)
    return processesOf(groups)
  }

  #number(controller: keyof CgroupMounts['folders'], name: string, absent = 0): number {
    return readNumber(this.#path(controller, name)) ?? absent
  }

  #path(controller: keyof CgroupMounts['folders'], name: string): string {
    return `${this.#at.folders[controller] ?? '/nonexistent'}/${name}`
  }
}

/** `254:0 Read 4096`, one line for each device and kind, summed over the devices. */
function directions(text = ''): { read: number; write: number } {
  const sums = { read: 0, write: 0 }
  for (const line of text.split('\n')) {
    const [, kind, amount] = line.split(' ')
    if (kind === 'Read') sums.read += Number(amount)
    if (kind === 'Write') sums.write += Number(amount)
  }
  return sums
}

function file(
  controller: CgroupFile['controller'],
  name: string,
  value: number | string | undefined,
  unlimited: string,
  resources: readonly ContainerResourceName[],
): CgroupFile {
  return { controller, name, value: String(value ?? unlimited), resources, isLimit: value !== undefined }
}

function scaled(share: number | undefined, ordinary: number, lowest: number, highest: number): number | undefined {
  return share === undefined ? undefined : between(lowest, share * ordinary, highest)
}
