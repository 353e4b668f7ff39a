/**
 * The counters of this host's running containers, looked at every few seconds. It keeps what the kernel does not: the
 * maxima of what is only sampled, and which refusals have been told already. Both survive the agent in a small file in
 * the guest's folder, so that an agent that comes back neither forgets a maximum nor tells a refusal twice.
 *
 * One look costs about 0.14 ms where something has run since the last, half of that otherwise, and 50 µs more for each
 * process every `DEEP_EVERY` looks.
 */
import { readFileSync, renameSync, statfsSync, writeFileSync } from 'node:fs'
import {
  containerCounters,
  newLimitFailures,
  type ContainerCounter,
  type CounterReading,
  type CounterReadings,
  type LimitFailure,
} from '@stead/core/model/container-counters.ts'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import { CONTAINER_RESOURCE_NAMES, type ContainerResourceName } from '@stead/core/model/container-resources.ts'
import { quotaOf } from '../root-mount.ts'
import { BTRFS_MAGIC } from '../../subvolumes/qgroup-figures.ts'
import type { CgroupUsage, ContainerCgroup } from './cgroup-files.ts'
import { readText } from './cgroup-tree.ts'
import { enforcement } from './cgroup-limits.ts'
import {
  networkUsage,
  processCounters,
  readFileLocks,
  socketCounters,
  type FileLocks,
  type NetworkUsage,
} from './process-counters.ts'

/** The processes themselves are looked at once a minute, and when somebody asks. */
const DEEP_EVERY = 6

export interface SampledContainer {
  /** The guest's id. */
  readonly id: string
  readonly cgroup: ContainerCgroup
  /** Its first process, as the agent's pid namespace sees it. */
  readonly init: number
  readonly limits: ContainerLimits
  /** Where its root file system is mounted on the host; never a path that the container can change. */
  readonly root?: string
  /** How many packets of its cards were dropped as too many, since the agent looks at them. */
  readonly droppedPackets?: () => number
  /** A file of its own, for what is kept. */
  readonly stateFile: string
}

/** Between the last two looks; nothing before the second. */
export interface ContainerRates {
  /** 100 is one processor. */
  readonly cpuPercent: number
  readonly memoryBytes: number
  readonly readBytesPerSecond: number
  readonly writtenBytesPerSecond: number
  readonly readsPerSecond: number
  readonly writesPerSecond: number
  readonly receivedBytesPerSecond: number
  readonly sentBytesPerSecond: number
  readonly sentPacketsPerSecond: number
}

export interface ContainerSample {
  readonly counters: readonly ContainerCounter[]
  readonly rates?: ContainerRates
  /** Refusals since the last look. */
  readonly failures: readonly LimitFailure[]
}

type Figures = { [Name in ContainerResourceName]?: number }

interface KeptState {
  /** Which run of the container it is of. */
  readonly run: string
  readonly maxHeld: Figures
  readonly failures: Figures
}

/** Since its start, of one run of the container. */
export interface ContainerUsage extends CgroupUsage, NetworkUsage {
  readonly run: string
}

interface Usage extends CgroupUsage, NetworkUsage {
  readonly at: number
}

class Sampled {
  of: SampledContainer
  readonly run: string
  readonly maxHeld: Figures
  readonly told: Figures
  /** What dropped packets of this run the agent has not seen, less those of an earlier run that it has. */
  readonly droppedBefore: number
  looks = 0
  usage: Usage | undefined
  rates: ContainerRates | undefined
  /** Of its processes, as of the last look at them. */
  deep: CounterReadings = {}
  /** All but rates and dropped packets. */
  readings: CounterReadings = {}
  counters: readonly ContainerCounter[] = []
  isChanged = false

  constructor(of: SampledContainer, droppedOfEarlier: number) {
    this.of = of
    this.run = runOf(of.init)
    const kept = readState(of.stateFile, this.run)
    this.maxHeld = { ...kept?.maxHeld }
    this.told = { ...kept?.failures }
    this.droppedBefore = (kept?.failures.packetrate ?? 0) - droppedOfEarlier
  }
}

export class CounterSampler {
  readonly #now: () => number
  readonly #containers = new Map<string, Sampled>()
  #locks: FileLocks = new Map()

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** A container that has started, or that the agent has found running. Again: its limits have changed. */
  add(container: SampledContainer): void {
    const known = this.#containers.get(container.id)
    if (known && known.run === runOf(container.init)) known.of = container
    else this.#containers.set(container.id, new Sampled(container, known ? (container.droppedPackets?.() ?? 0) : 0))
  }

  remove(id: string): void {
    const known = this.#containers.get(id)
    if (known) writeState(known)
    this.#containers.delete(id)
  }

  /** One look at each container, with a pause after each so that the agent answers others meanwhile. */
  async *sampleAll(): AsyncGenerator<readonly [id: string, sample: ContainerSample]> {
    this.#locks = readFileLocks()
    for (const id of this.#containers.keys()) {
      const sample = this.#sample(id, false)
      if (sample) yield [id, sample]
      await new Promise(setImmediate)
    }
  }

  /** As it is now, processes included. Nothing for a container that is not known here. */
  sampleNow(id: string): ContainerSample | undefined {
    this.#locks = readFileLocks()
    return this.#sample(id, true)
  }

  /** As of the last look, for lists of many. */
  lastOf(id: string): Omit<ContainerSample, 'failures'> | undefined {
    const known = this.#containers.get(id)
    return known && { counters: known.counters, ...(known.rates ? { rates: known.rates } : {}) }
  }

  /** As of the last look. */
  usageOf(id: string): ContainerUsage | undefined {
    const known = this.#containers.get(id)
    return known?.usage && { ...known.usage, run: known.run }
  }

  #sample(id: string, isAsked: boolean): ContainerSample | undefined {
    const known = this.#containers.get(id)
    if (!known) return undefined
    const { of } = known
    const isDeep = isAsked || known.looks % DEEP_EVERY === 0
    if (isDeep) known.deep = processCounters(of.cgroup.processes(), this.#locks)
    known.looks += 1
    // Before the others: what is done between the two is found by the next look.
    const now: Usage = { ...of.cgroup.usage(), ...networkUsage(of.init), at: this.#now() }
    const { usage } = known
    if (isDeep || usage === undefined || !isAtRest(usage, now))
      known.readings = {
        ...known.deep,
        ...of.cgroup.counters(),
        ...socketCounters(of.init),
        ...diskCounters(of.root),
      }
    // Two looks at almost the same moment make no rate.
    if (usage === undefined || now.at - usage.at >= 1000) {
      known.rates = usage && ratesBetween(usage, now)
      known.usage = now
    }
    const dropped = of.droppedPackets?.()
    const packetrate = dropped === undefined ? {} : { packetrate: { failures: known.droppedBefore + dropped } }
    const readings = withRates({ ...known.readings, ...packetrate }, known.rates)
    known.counters = containerCounters(of.limits, withKept(known, readings), (resource) =>
      resource === 'diskinodes' && readings.diskinodes === undefined ? 'counted' : enforcement(of.cgroup, resource),
    )
    const failures = newLimitFailures(known.told, known.counters)
    for (const { resource, total } of failures) known.told[resource] = total
    // A refusal is written down at once, maxima with the next look at the processes.
    if (failures.length > 0 || (known.isChanged && known.looks % DEEP_EVERY === 0)) writeState(known)
    return { counters: known.counters, failures, ...(known.rates ? { rates: known.rates } : {}) }
  }
}

/** The highest that was seen, and refusals that never become fewer, although an inner group may end with its own. */
function withKept(known: Sampled, readings: CounterReadings): CounterReadings {
  const kept: { [Name in ContainerResourceName]?: CounterReading } = {}
  for (const name of CONTAINER_RESOURCE_NAMES) {
    const reading = readings[name]
    if (reading === undefined) continue
    const { held, maxHeld, failures } = reading
    const highest = Math.max(known.maxHeld[name] ?? 0, held ?? 0, maxHeld ?? 0)
    if (highest !== (known.maxHeld[name] ?? 0)) known.isChanged = true
    known.maxHeld[name] = highest
    kept[name] = {
      held,
      maxHeld: held === undefined ? undefined : highest,
      failures: failures === undefined ? undefined : Math.max(failures, known.told[name] ?? 0),
    }
  }
  return kept
}

/**
 * None of its processes has run, the kernel has taken back no memory and it has sent nothing: then none of its counters
 * has changed that matters before the next look at everything, and of two dozen files a handful was read. Most
 * containers are like that in most looks.
 */
function isAtRest(before: Usage, now: Usage): boolean {
  return (
    now.cpuMicroseconds === before.cpuMicroseconds &&
    now.memoryBytes === before.memoryBytes &&
    now.sentPackets === before.sentPackets
  )
}

function withRates(readings: CounterReadings, rates: ContainerRates | undefined): CounterReadings {
  if (!rates) return readings
  const network = Math.max(rates.receivedBytesPerSecond, rates.sentBytesPerSecond)
  return {
    ...readings,
    cpulimit: { ...readings.cpulimit, held: Math.round(rates.cpuPercent) },
    iolimit: { held: Math.round(Math.max(rates.readBytesPerSecond, rates.writtenBytesPerSecond)) },
    iopslimit: { held: Math.round(Math.max(rates.readsPerSecond, rates.writesPerSecond)) },
    netrate: { held: Math.round((network * 8) / 1000) },
    packetrate: { ...readings.packetrate, held: Math.round(rates.sentPacketsPerSecond) },
  }
}

function ratesBetween(before: Usage, now: Usage): ContainerRates {
  const seconds = (now.at - before.at) / 1000
  const each = (pick: (usage: Usage) => number) => Math.max(0, pick(now) - pick(before)) / seconds
  return {
    cpuPercent: each(({ cpuMicroseconds }) => cpuMicroseconds) / 10_000,
    memoryBytes: now.memoryBytes,
    readBytesPerSecond: each(({ readBytes }) => readBytes),
    writtenBytesPerSecond: each(({ writtenBytes }) => writtenBytes),
    readsPerSecond: each(({ reads }) => reads),
    writesPerSecond: each(({ writes }) => writes),
    receivedBytesPerSecond: each(({ receivedBytes }) => receivedBytes),
    sentBytesPerSecond: each(({ sentBytes }) => sentBytes),
    sentPacketsPerSecond: each(({ sentPackets }) => sentPackets),
  }
}

/** ext4 keeps these figures in memory: no request goes to the disk, which may be held. */
function diskCounters(root: string | undefined): CounterReadings {
  if (root === undefined) return {}
  try {
    const { bsize, blocks, bfree, files, ffree, type } = statfsSync(root)
    // Of a subvolume the file system's own figures say nothing; its files nobody counts, and nobody limits.
    if (type === BTRFS_MAGIC) {
      const quota = quotaOf(root)
      return quota ? { diskspace: { held: Math.ceil(quota.heldBytes / 1024) } } : {}
    }
    return { diskspace: { held: Math.ceil(((blocks - bfree) * bsize) / 1024) }, diskinodes: { held: files - ffree } }
  } catch {
    return {}
  }
}

/** A process id comes back; with the time of its start, in ticks since boot, it does not. */
function runOf(init: number): string {
  const stat = readText(`/proc/${init}/stat`) ?? ''
  return `${init}:${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`
}

function readState(path: string, run: string): KeptState | undefined {
  try {
    const kept = JSON.parse(readFileSync(path, 'utf8')) as KeptState
    return kept.run === run ? kept : undefined
  } catch {
    // None yet, or written by a host that lost its power meanwhile: what it kept is of a run that has ended.
    return undefined
  }
}

function writeState(known: Sampled): void {
  const { run, maxHeld, told } = known
  const { stateFile } = known.of
  try {
    const kept: KeptState = { run, maxHeld, failures: told }
    writeFileSync(`${stateFile}.new`, JSON.stringify(kept))
    renameSync(`${stateFile}.new`, stateFile)
    known.isChanged = false
  } catch {
    // A full disk must not end the counting; it is tried again with the next look.
  }
}
