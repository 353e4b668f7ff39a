/**
 * The legs of one guest's disks: opened, attached, dropped and closed, each with what must be remembered of it in the
 * launch record, so that a later agent understands the graph. The order of the steps inside QEMU is in
 * `mirror-surgery.ts`.
 */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, Leg } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { childrenOf, legNode, type DiskRecord, type OpenLeg } from './block-graph.ts'
import { growDisk, holdDisk, settleHold, type Growing } from './disk-growth.ts'
import type { LegKeys } from './leg-keys.ts'
import { probeNbdServer } from './leg-probe.ts'
import {
  attachNode,
  closeNode,
  drainAndFlushDisk,
  dropNode,
  openNode,
  queryGraph,
  replaceNodes,
  yankNode,
  type Monitor,
} from './mirror-surgery.ts'

export interface DiskLegsOptions {
  /** The disks as the launch record has them now. */
  readonly disks: () => readonly DiskRecord[]
  /** Puts a changed disk into the launch record, on disk too. */
  readonly save: (disk: DiskRecord) => Result<void>
  /** Fails while QEMU does not answer. */
  readonly monitor: () => Result<Monitor>
  /** Fails with `conflict` while the guest may write. Absent: QEMU itself runs the guest and is asked. */
  readonly requirePaused?: () => Promise<Result<void>>
  readonly keys: LegKeys
  /** QEMU's own folder, and whom it runs as, when not as the agent. */
  readonly runFolder: string
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly log: Log
}

export class DiskLegs {
  readonly #options: DiskLegsOptions

  constructor(options: DiskLegsOptions) {
    this.#options = options
  }

  async yank(volume: VolumeId, host: string): Promise<Result<void>> {
    const found = this.#disk(volume)
    if (!found.ok) return found
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    // All of the host's nodes: the graph cannot be asked now, and a prepared leg of a hung host is lost too.
    const nodes = found.value.legs.filter(({ leg }) => leg.host === host).map(({ node }) => node)
    if (nodes.length === 0) return fail(failure('not_found', `The disk ${volume} has no leg on ${host}`))
    const replies = await Promise.all(nodes.map((node) => yankNode(monitor.value, node)))
    return replies.find((reply) => !reply.ok) ?? ok()
  }

  async drop(volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#operate('drop leg', volume, async (monitor, disk) => {
      const legs = disk.legs.filter(({ leg }) => leg.host === host)
      if (legs.length === 0) return ok()
      const paused = await this.#requirePaused(monitor)
      if (!paused.ok) return paused
      for (const { node } of legs) {
        // A node with requests that wait for a dead server would be drained for ever; an unknown one is fine.
        await yankNode(monitor, node)
        const dropped = await dropNode(monitor, disk, node)
        if (!dropped.ok) return dropped
      }
      return this.#options.save({ ...disk, legs: disk.legs.filter((leg) => !legs.includes(leg)) })
    })
  }

  async prepare(volume: VolumeId, leg: Leg): Promise<Result<void>> {
    const probed = await probeNbdServer(leg.endpoint)
    if (!probed.ok) return probed
    return this.#operate('prepare leg', volume, async (monitor, disk) => {
      if (disk.width === 1) return fail(failure('conflict', 'A disk with one replica has no place for another leg'))
      const attached = await this.#attachedLeg(monitor, disk, leg.host)
      if (!attached.ok) return attached
      if (attached.value) return fail(failure('conflict', `The leg on ${leg.host} is attached already`))
      const discarded = await this.#discard(monitor, disk, leg.host)
      if (!discarded.ok) return discarded
      const node = legNode(disk.index, disk.nextLeg)
      // Recorded before it exists: after a crash the number is spent and a node in the graph has a name.
      const planned = { ...discarded.value, legs: [...discarded.value.legs, { node, leg }], nextLeg: disk.nextLeg + 1 }
      const saved = this.#options.save(planned)
      if (!saved.ok) return saved
      const opened = await openNode(monitor, this.#options.keys, planned, { node, leg })
      if (opened.ok) return ok()
      this.#options.save({ ...planned, legs: discarded.value.legs })
      return opened
    })
  }

  async attach(volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#operate('attach leg', volume, async (monitor, disk) => {
      const prepared = disk.legs.findLast(({ leg }) => leg.host === host)
      if (!prepared) return fail(failure('conflict', `No leg on ${host} was prepared`))
      const paused = await this.#requirePaused(monitor)
      if (!paused.ok) return paused
      // A leg by unix socket is the local replica: reads go there first.
      return attachNode(monitor, disk, prepared.node, prepared.leg.local ?? prepared.leg.endpoint.kind === 'unix')
    })
  }

  async replace(volume: VolumeId, leg: Leg): Promise<Result<void>> {
    const probed = await probeNbdServer(leg.endpoint)
    if (!probed.ok) return probed
    return this.#operate('replace leg', volume, async (monitor, disk) => {
      const paused = await this.#requirePaused(monitor)
      if (!paused.ok) return paused
      const old = disk.legs.filter((each) => each.leg.host === leg.host)
      const attached = await this.#attachedLeg(monitor, disk, leg.host)
      if (!attached.ok) return attached
      if (!attached.value) return fail(failure('conflict', `There is no leg on ${leg.host} to be replaced`))
      const node = legNode(disk.index, disk.nextLeg)
      // Recorded before it exists, as a prepared one is.
      const planned = { ...disk, legs: [...disk.legs, { node, leg }], nextLeg: disk.nextLeg + 1 }
      const saved = this.#options.save(planned)
      if (!saved.ok) return saved
      const opened = await openNode(monitor, this.#options.keys, planned, { node, leg })
      if (!opened.ok) {
        this.#options.save({ ...planned, legs: disk.legs })
        return opened
      }
      for (const each of old) await yankNode(monitor, each.node)
      const replaced = await replaceNodes(
        monitor,
        planned,
        old.map((each) => each.node),
        node,
      )
      if (!replaced.ok) return replaced
      return this.#options.save({ ...planned, legs: planned.legs.filter((each) => !old.includes(each)) })
    })
  }

  async hold(volume: VolumeId): Promise<Result<void>> {
    return this.#operate('hold disk', volume, async (monitor, disk) => {
      const paused = await this.#requirePaused(monitor)
      return paused.ok ? holdDisk(this.#growing(monitor), disk) : paused
    })
  }

  async grow(grown: GuestDisk): Promise<Result<void>> {
    for (const leg of grown.legs) {
      const probed = await probeNbdServer(leg.endpoint)
      if (!probed.ok) return probed
    }
    return this.#operate('grow disk', grown.volume, (monitor, disk) => growDisk(this.#growing(monitor), disk, grown))
  }

  /** Of an adopted QEMU: whether a disk is held is said by the graph. */
  async settleHolds(): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    for (const disk of this.#options.disks()) {
      const settled = await settleHold(this.#growing(monitor.value), disk)
      if (!settled.ok) return settled
    }
    return ok()
  }

  #growing(monitor: Monitor): Growing {
    const { save, keys, runFolder, user } = this.#options
    return { monitor, save, keys, runFolder, ...(user ? { user } : {}) }
  }

  async discard(volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#operate('discard leg', volume, async (monitor, disk) => {
      const attached = await this.#attachedLeg(monitor, disk, host)
      if (!attached.ok) return attached
      if (attached.value) return fail(failure('conflict', `The leg on ${host} is attached; it can only be dropped`))
      const discarded = await this.#discard(monitor, disk, host)
      return discarded.ok ? ok() : discarded
    })
  }

  async drainAndFlush(volume: VolumeId): Promise<Result<void>> {
    return this.#operate('drain and flush', volume, drainAndFlushDisk)
  }

  async #operate(
    name: string,
    volume: VolumeId,
    work: (monitor: Monitor, disk: DiskRecord) => Promise<Result<void>>,
  ): Promise<Result<void>> {
    const disk = this.#disk(volume)
    if (!disk.ok) return disk
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const began = performance.now()
    const done = await work(monitor.value, disk.value)
    const fields = { volume, ms: Math.round((performance.now() - began) * 10) / 10 }
    if (done.ok) this.#options.log.debug(name, fields)
    else this.#options.log.warn(`${name} failed: ${done.error.message}`, { ...fields, cause: done.error.cause })
    return done
  }

  #disk(volume: VolumeId): Result<DiskRecord> {
    const disk = this.#options.disks().find((each) => each.volume === volume)
    return disk ? ok(disk) : fail(failure('not_found', `The guest has no disk ${volume}`))
  }

  async #attachedLeg(monitor: Monitor, disk: DiskRecord, host: string): Promise<Result<OpenLeg | undefined>> {
    const graph = await queryGraph(monitor)
    if (!graph.ok) return graph
    const children = new Set(childrenOf(graph.value, disk).map((child) => child.node))
    return ok(disk.legs.find(({ node, leg }) => leg.host === host && children.has(node)))
  }

  /** Closes a host's nodes that are not attached (the caller has made sure). Returns the disk without them. */
  async #discard(monitor: Monitor, disk: DiskRecord, host: string): Promise<Result<DiskRecord>> {
    const legs = disk.legs.filter(({ leg }) => leg.host === host)
    if (legs.length === 0) return ok(disk)
    const graph = await queryGraph(monitor)
    if (!graph.ok) return graph
    const existing = new Set(graph.value.nodes.map((node) => node.name))
    for (const { node } of legs.filter((leg) => existing.has(leg.node))) {
      await yankNode(monitor, node)
      const closed = await closeNode(monitor, node)
      if (!closed.ok) return closed
    }
    const remaining = { ...disk, legs: disk.legs.filter((leg) => !legs.includes(leg)) }
    const saved = this.#options.save(remaining)
    return saved.ok ? ok(remaining) : saved
  }

  async #requirePaused(monitor: Monitor): Promise<Result<void>> {
    if (this.#options.requirePaused) return this.#options.requirePaused()
    const status = await monitor.execute<{ readonly running: boolean }>('query-status')
    if (!status.ok) return status
    return status.value.running
      ? fail(failure('conflict', 'The guest runs; its disks can be changed only while it is paused'))
      : ok()
  }
}
