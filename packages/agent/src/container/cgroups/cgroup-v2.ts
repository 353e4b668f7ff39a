/** A container's control group of v2: one folder for everything. Files: Documentation/admin-guide/cgroup-v2.rst. */
import { failure } from '@stead/core/errors.ts'
import type { CounterReadings } from '@stead/core/model/container-counters.ts'
import { PAGE_BYTES, type ContainerResourceName } from '@stead/core/model/container-resources.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { between, CPU_PERIOD_US, type CgroupSettings } from './cgroup-settings.ts'
import { groupsIn, processesOf, readKeys, readNumber, readText, type CgroupMounts } from './cgroup-tree.ts'
import { lackedBy, writeFiles, type CgroupFile, type CgroupUsage, type ContainerCgroup } from './cgroup-files.ts'

export function v2Files(settings: CgroupSettings): CgroupFile[] {
  const { memoryMaxBytes, memoryHighBytes, memoryLowBytes, swapMaxBytes, processesMax } = settings
  const { cpuShare, processors, pinnedTo, ioShare, ioBytesPerSecond, ioOperationsPerSecond, device } = settings
  const quota = processors === undefined ? 'max' : Math.round(processors * CPU_PERIOD_US)
  const weight = (share: number | undefined) => (share === undefined ? 100 : between(1, share * 100, 10_000))
  const files: CgroupFile[] = [
    amount('memory', 'memory.low', memoryLowBytes, '0', ['vmguarpages']),
    amount('memory', 'memory.high', memoryHighBytes, 'max', []),
    amount('memory', 'memory.max', memoryMaxBytes, 'max', ['physpages']),
    { ...amount('memory', 'memory.swap.max', swapMaxBytes, 'max', ['swappages']), isOptional: true },
    amount('pids', 'pids.max', processesMax, 'max', ['numproc']),
    {
      controller: 'cpu',
      name: 'cpu.weight',
      value: String(weight(cpuShare)),
      resources: ['cpuunits'],
      isLimit: cpuShare !== undefined,
    },
    {
      controller: 'cpu',
      name: 'cpu.max',
      value: `${quota} ${CPU_PERIOD_US}`,
      resources: ['cpulimit', 'cpus'],
      isLimit: processors !== undefined,
    },
    // Empty: whatever the group above may use.
    {
      controller: 'cpuset',
      name: 'cpuset.cpus',
      value: pinnedTo ?? '\n',
      resources: [],
      isLimit: pinnedTo !== undefined,
    },
    {
      controller: 'io',
      name: 'io.weight',
      value: `default ${weight(ioShare)}`,
      resources: ['ioprio'],
      isLimit: ioShare !== undefined,
      isOptional: true,
    },
  ]
  if (device === undefined) return files
  const [bytes, operations] = [ioBytesPerSecond ?? 'max', ioOperationsPerSecond ?? 'max']
  return [
    ...files,
    {
      controller: 'io',
      name: 'io.max',
      value: `${device} rbps=${bytes} wbps=${bytes} riops=${operations} wiops=${operations}`,
      resources: ['iolimit', 'iopslimit'],
      isLimit: ioBytesPerSecond !== undefined || ioOperationsPerSecond !== undefined,
    },
  ]
}

export class CgroupV2 implements ContainerCgroup {
  readonly family = 'v2'
  readonly lacks: ReadonlySet<ContainerResourceName>
  readonly #at: CgroupMounts
  /** All controllers have the same folder. */
  readonly #folder: string

  constructor(at: CgroupMounts) {
    this.#at = at
    this.#folder = at.folders.memory ?? at.folders.pids ?? at.folders.cpu ?? '/nonexistent'
    this.lacks = lackedBy(at, v2Files({ device: '0:0' }))
  }

  /** Below what is in use, v2 kills; v1 refuses, and so does this. */
  set(settings: CgroupSettings): Result<void> {
    const { memoryMaxBytes } = settings
    if (memoryMaxBytes !== undefined) {
      const stat = readKeys(this.#path('memory.stat'))
      const reclaimable = ['active_file', 'inactive_file', 'slab_reclaimable']
      const kept = reclaimable.reduce((left, key) => left - (stat.get(key) ?? 0), this.#number('memory.current'))
      if (kept > memoryMaxBytes)
        return fail(
          failure(
            'conflict',
            `physpages: the container uses ${kept} bytes, more than ${memoryMaxBytes}, and cannot give them back`,
            { hint: 'End processes in it first, or stop it' },
          ),
        )
    }
    return writeFiles(this.#at, v2Files(settings))
  }

  usage(): CgroupUsage {
    const usage = { readBytes: 0, writtenBytes: 0, reads: 0, writes: 0 }
    for (const [, key = '', value] of (readText(this.#path('io.stat')) ?? '').matchAll(/ (\w+)=(\d+)/g)) {
      if (key === 'rbytes') usage.readBytes += Number(value)
      if (key === 'wbytes') usage.writtenBytes += Number(value)
      if (key === 'rios') usage.reads += Number(value)
      if (key === 'wios') usage.writes += Number(value)
    }
    const cpuMicroseconds = readKeys(this.#path('cpu.stat')).get('usage_usec') ?? 0
    return { cpuMicroseconds, memoryBytes: this.#number('memory.current'), ...usage }
  }

  counters(): CounterReadings {
    const stat = readKeys(this.#path('memory.stat'))
    const events = readKeys(this.#path('memory.events'))
    const memoryBytes = this.#number('memory.current')
    const swapBytes = this.#number('memory.swap.current')
    const pages = (bytes: number) => Math.ceil(bytes / PAGE_BYTES)
    const peakPages = (name: string) => {
      const bytes = readNumber(this.#path(name))
      return bytes === undefined ? undefined : pages(bytes)
    }
    return {
      kmemsize: { held: kernelMemory(stat) },
      lockedpages: { held: pages(stat.get('unevictable') ?? 0) },
      shmpages: { held: pages(stat.get('shmem') ?? 0) },
      numproc: {
        held: this.#number('pids.current'),
        maxHeld: readNumber(this.#path('pids.peak')),
        failures: readKeys(this.#path('pids.events')).get('max') ?? 0,
      },
      // `max` also counts every reclaim at the limit, which whoever reads files meets all day.
      physpages: { held: pages(memoryBytes), maxHeld: peakPages('memory.peak'), failures: events.get('oom') ?? 0 },
      oomguarpages: { held: pages(memoryBytes + swapBytes), failures: events.get('oom_kill') ?? 0 },
      swappages: {
        held: pages(swapBytes),
        maxHeld: peakPages('memory.swap.peak'),
        failures: readKeys(this.#path('memory.swap.events')).get('fail') ?? 0,
      },
      tcpsndbuf: { held: stat.get('sock') ?? 0 },
      dcachesize: { held: stat.get('slab_reclaimable') ?? 0 },
      cpulimit: { failures: readKeys(this.#path('cpu.stat')).get('nr_throttled') ?? 0 },
    }
  }

  processes(): readonly number[] {
    return processesOf(groupsIn(this.#folder))
  }

  #number(name: string): number {
    return readNumber(this.#path(name)) ?? 0
  }

  #path(name: string): string {
    return `${this.#folder}/${name}`
  }
}

/** Linux 5.18 and later sum it up themselves; before, the parts that there were. */
function kernelMemory(stat: ReadonlyMap<string, number>): number {
  const parts = ['kernel_stack', 'pagetables', 'percpu', 'slab']
  return stat.get('kernel') ?? parts.reduce((sum, key) => sum + (stat.get(key) ?? 0), 0)
}

function amount(
  controller: CgroupFile['controller'],
  name: string,
  value: number | undefined,
  unlimited: string,
  resources: readonly ContainerResourceName[],
): CgroupFile {
  return { controller, name, value: String(value ?? unlimited), resources, isLimit: value !== undefined }
}
