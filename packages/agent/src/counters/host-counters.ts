/**
 * What the guests of this host hold and were refused: looked at when this host is measured (metrics/metrics-keeper.ts),
 * and when somebody wants to know more exactly. Refusals become events of the cluster.
 */
import { readFileSync, statfsSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import { LimitNotices } from '@stead/core/host/limit-notices.ts'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import type { ContainerCounter } from '@stead/core/model/container-counters.ts'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import type { ContainerResourceName } from '@stead/core/model/container-resources.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { StorageCounters } from '@stead/core/ports/host-meters.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { containerCgroup } from '../container/cgroups/cgroup-limits.ts'
import { CounterSampler, type ContainerRates } from '../container/cgroups/counter-sampler.ts'
import type { LxcGuestHost } from '../container/lxc-guest-host.ts'
import type { QemuGuestHost } from '../qemu/qemu-guest-host.ts'
import { quotaOf } from '../container/root-mount.ts'
import { BTRFS_MAGIC } from '../subvolumes/qgroup-figures.ts'
import { DroppedPackets } from './dropped-packets.ts'
import { VmCounters } from './vm-counters.ts'
import { networkLinks } from './vm-usage.ts'

export interface HostCountersOptions {
  readonly containers: Pick<LxcGuestHost, 'running' | 'runOf'>
  readonly vms: Pick<QemuGuestHost, 'pids'>
  readonly nameOf: (guest: GuestId) => string | undefined
  /** How many packets a second the card may send that may send the fewest. */
  readonly packetLimitOf: (guest: GuestId) => number | undefined
  /** By port: how many packets were more than its card may send. */
  readonly droppedPackets: () => Promise<Result<ReadonlyMap<string, number>>>
  readonly tell: (...drafts: readonly EventDraft[]) => void
  readonly clock: Clock
  readonly log: Log
}

type Amounts = { readonly [Name in ContainerResourceName]?: number }

/** Of one running guest, as of the last look. A virtual machine has rates of its processors and its network only. */
export interface GuestFigures {
  readonly guest: GuestId
  /** In the resources' units; what nobody counts is left out. */
  readonly held: Amounts
  /** Only those that are not 0. */
  readonly failures: Amounts
  readonly rates?: Partial<ContainerRates>
}

export interface HostFigures {
  readonly swapBytes: number
  readonly processesMax: number
  readonly guests: readonly GuestFigures[]
}

/** What a guest has used since its start. */
export interface GuestUsage {
  /** Another one began anew. */
  readonly run: string
  readonly cpuMicroseconds: number
  readonly memoryBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Of a container; a virtual machine's QEMU counts its own. */
  readonly storage?: StorageCounters
}

export class HostCounters {
  readonly #options: HostCountersOptions
  readonly #sampler: CounterSampler
  readonly #notices = new LimitNotices()
  /** What the sampler was told of each container: a change of either is told again. */
  readonly #known = new Map<GuestId, { readonly launch: GuestLaunch; readonly init: number }>()
  readonly #vms: VmCounters
  readonly #dropped = new DroppedPackets()
  #looking: Promise<void> | undefined
  #lookedAt = -Infinity

  constructor(options: HostCountersOptions) {
    this.#options = options
    this.#sampler = new CounterSampler(() => options.clock.monotonicMs())
    this.#vms = new VmCounters(options.packetLimitOf)
  }

  /** Looks at all guests: every ten seconds, by whoever measures this host. */
  async usage(): Promise<ReadonlyMap<GuestId, GuestUsage>> {
    const { log } = this.#options
    await this.#look().catch((error: unknown) => log.error('the guests could not be counted', { error }))
    const containers = [...this.#known.keys()].flatMap((guest) => {
      const usage = this.#sampler.usageOf(guest)
      if (!usage) return []
      const { run, cpuMicroseconds, memoryBytes, receivedBytes, sentBytes, ...storage } = usage
      const { reads, writes, readBytes, writtenBytes } = storage
      const counters = { run, cpuMicroseconds, memoryBytes, receivedBytes, sentBytes }
      return [[guest, { ...counters, storage: { reads, writes, readBytes, writtenBytes } }] as const]
    })
    const machines = this.#vms.usage().map(([guest, usage]) => {
      const { pid, cpuMicroseconds, memoryBytes, receivedBytes, sentBytes } = usage
      return [guest, { run: `pid ${pid}`, cpuMicroseconds, memoryBytes, receivedBytes, sentBytes }] as const
    })
    return new Map<GuestId, GuestUsage>([...containers, ...machines])
  }

  /** One guest's counters as they are now. */
  async counters(guest: GuestId): Promise<Result<readonly ContainerCounter[]>> {
    await this.#readDropped()
    if (this.#options.vms.pids.has(guest)) {
      this.#lookAtVms()
      this.#tell()
      return ok(this.#vms.of(guest) ?? [])
    }
    const run = this.#options.containers.runOf(guest)
    if (!run.ok) return run
    this.#follow(guest)
    const sample = this.#sampler.sampleNow(guest)
    if (!sample)
      return fail(
        failure('conflict', 'The container is just being started or ended', { hint: 'Ask again in a moment' }),
      )
    this.#notices.add(guest, sample.failures)
    this.#tell()
    return ok(sample.counters)
  }

  /** Of all guests that run here, at most so old. */
  async figures(ageMsMax: number): Promise<HostFigures> {
    const { clock } = this.#options
    if (clock.monotonicMs() - this.#lookedAt > ageMsMax) await this.#look()
    return {
      ...{ swapBytes: swapBytes(), processesMax: processesMax() },
      guests: [...this.#containerFigures(), ...this.#vms.figures()],
    }
  }

  #look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => (this.#looking = undefined))
    return this.#looking
  }

  async #lookAtAll(): Promise<void> {
    const { containers, vms, packetLimitOf, clock } = this.#options
    const running = new Set(containers.running)
    const isPaced = (guest: GuestId) => packetLimitOf(guest) !== undefined
    if (running.size > 0 || [...vms.pids.keys()].some(isPaced)) await this.#readDropped()
    for (const guest of this.#known.keys()) if (!running.has(guest)) this.#forget(guest)
    for (const guest of running) {
      this.#follow(guest)
      // About a tenth of a millisecond each: others are answered meanwhile.
      await new Promise(setImmediate)
    }
    for await (const [guest, { failures }] of this.#sampler.sampleAll()) this.#notices.add(guest as GuestId, failures)
    this.#lookAtVms()
    this.#tell()
    this.#lookedAt = clock.monotonicMs()
  }

  /** Has the sampler know of a container what is so now. */
  #follow(guest: GuestId): void {
    const run = this.#options.containers.runOf(guest)
    if (!run.ok) return this.#forget(guest)
    const { launch, lxc, limits, rootFolder, countersFile } = run.value
    // None between two runs of its system: LXC makes other control groups for the next.
    const init = lxc.initPid()
    if (init === undefined) return this.#forget(guest)
    const known = this.#known.get(guest)
    if (known?.launch === launch && known.init === init) return
    try {
      const cgroup = containerCgroup(lxc.cgroups())
      this.#sampler.add({
        ...{ id: guest, cgroup, init, root: rootFolder, stateFile: countersFile },
        limits: { ...limits, ...fileSystemLimits(rootFolder) },
        droppedPackets: () => this.#droppedOf(launch),
      })
    } catch (error) {
      // It ends at this very moment, and its groups and its disk with it; the others are counted all the same.
      this.#options.log.debug('a container cannot be counted now', { guest, error })
      return this.#forget(guest)
    }
    this.#known.set(guest, { launch, init })
  }

  async #readDropped(): Promise<void> {
    const dropped = await this.#options.droppedPackets()
    if (dropped.ok) this.#dropped.note(dropped.value, networkLinks())
  }

  #droppedOf({ nics }: GuestLaunch): number {
    return this.#dropped.of(nics.map(({ tap }) => tap))
  }

  #forget(guest: GuestId): void {
    if (this.#known.delete(guest)) this.#sampler.remove(guest)
  }

  #tell(): void {
    const { clock, nameOf, tell } = this.#options
    const due = this.#notices.due(clock.monotonicMs(), nameOf)
    if (due.length > 0) tell(...due)
  }

  #lookAtVms(): void {
    const { vms, clock } = this.#options
    const refused = this.#vms.look(vms.pids, this.#dropped, clock.monotonicMs())
    for (const [guest, failures] of refused) this.#notices.add(guest, failures)
  }

  #containerFigures(): GuestFigures[] {
    return [...this.#known.keys()].flatMap((guest) => {
      const last = this.#sampler.lastOf(guest)
      if (!last) return []
      const { counters, rates } = last
      return {
        guest,
        held: amounts(counters, ({ held }) => held ?? undefined),
        failures: amounts(counters, ({ failures }) => failures || undefined),
        ...(rates ? { rates } : {}),
      }
    })
  }
}

function amounts(
  counters: readonly ContainerCounter[],
  pick: (counter: ContainerCounter) => number | undefined,
): Amounts {
  const found: { [Name in ContainerResourceName]?: number } = {}
  for (const counter of counters) {
    const amount = pick(counter)
    if (amount !== undefined) found[counter.resource] = amount
  }
  return found
}

/** What bounds the disk is the size of its file system, whatever was wished. */
function fileSystemLimits(root: string): ContainerLimits {
  const { bsize, blocks, files, type } = statfsSync(root)
  if (type === BTRFS_MAGIC) {
    const { limitBytes } = quotaOf(root) ?? {}
    return limitBytes === undefined ? {} : { diskspace: { limit: Math.floor(limitBytes / 1024) } }
  }
  return { diskspace: { limit: Math.floor((blocks * bsize) / 1024) }, diskinodes: { limit: files } }
}

function swapBytes(): number {
  const line = /^SwapTotal:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

/** Either may be the lower one; `pid_max` counts threads as well. */
function processesMax(): number {
  return Math.min(...['pid_max', 'threads-max'].map((name) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'))))
}
