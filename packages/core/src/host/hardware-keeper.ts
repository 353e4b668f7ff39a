/**
 * Makes the hardware of one running guest agree with the records: disks and network cards that came or go, limits,
 * memory, processors. It compares what is wanted with what QEMU has and does what is missing, so it does not matter
 * who died half-way. What a guest does not take or give yet is told as pending and tried again.
 */
import { diskSlot, nicSlot, type HardwareObservation, type PendingChange } from '../model/hardware.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import { nicLimitsOf } from '../model/container-limits.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest, Nic } from '../model/guest.ts'
import { KEYS } from '../model/keys.ts'
import { isActive, isResized, volumesOf } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { HardwareFacts } from '../ports/guest-hardware.ts'
import type { StoreEntry } from '../ports/store.ts'
import { fail, ok, type Result } from '../result.ts'
import { failure } from '../errors.ts'
import { exportNameOf, type DiskKeeper } from './disk-keeper.ts'
import { openDisk } from './disk-opening.ts'
import { atNextStart, balloonWork, hasGivenBack, releaseHolds, sizeWork, type GrowthWork } from './growth-keeper.ts'
import { containerPort, launchContainer, withPace } from './guest-parts.ts'
import type { HostContext } from './host-context.ts'
import type { RunRecords } from './run-records.ts'
import { detachWrites, isLeaving } from './volume-attachment.ts'

/** Between two tries of what the guest has not done. */
const RETRY_MS = 5_000

export interface HardwareKeeperOptions {
  readonly context: HostContext
  readonly guest: Guest['id']
  readonly epoch: number
  readonly records: RunRecords
  readonly disks: () => DiskKeeper
  readonly isOver: () => boolean
  /** `hardwareKey` of what the guest was started with; absent where that is not known. */
  readonly startedWith?: string | undefined
  readonly onObserved: (hardware: HardwareObservation) => void
  /** False while something else is done to all disks of the guest. */
  readonly mayGrow: () => boolean
}

export class HardwareKeeper {
  readonly #options: HardwareKeeperOptions
  #working = false
  #growing = false
  /** What the last round was about, so that news of others makes no work. */
  #seen = ''
  /** The records of which nothing was to be done, as the mirror has them: while they are the same, nothing is compared. */
  #settled: readonly unknown[] = []
  #anew = false
  #notBeforeMs = 0
  #observed = ''
  /** Limits of NICs that this run's taps have. */
  readonly #nicLimits = new Map<number, string>()
  /** What the NICs were when this agent last made sure that they send as nobody else. */
  readonly #isolatedAs = new Map<number, string>()

  constructor(options: HardwareKeeperOptions) {
    this.#options = options
    if (options.startedWith !== undefined) [this.#seen, this.#notBeforeMs] = [options.startedWith, Infinity]
  }

  /** A disk is being enlarged: no snapshot may begin. */
  get growing(): boolean {
    return this.#growing
  }

  /** A container that has rebooted has other ports: what was done to the old ones is done anew. */
  hasRebooted(): void {
    this.#nicLimits.clear()
    this.#isolatedAs.clear()
    this.#anew = true
    this.look()
  }

  /** Called with every change of the records and now and then. Cheap while nothing is to be done. */
  look(): void {
    if (this.#working || this.#options.isOver()) return
    const { mirror, clock } = this.#options.context
    const guest = mirror.state.guests.get(this.#options.guest)
    const grant = this.#grant()
    const volumes = guest && volumesOf(mirror.state, guest.value)
    if (!guest || !grant || !volumes || guest.value.deleting) return
    const isEarly = !this.#anew && clock.monotonicMs() < this.#notBeforeMs
    const records = [guest, ...volumes]
    if (isEarly && isSame(records, this.#settled)) return
    const now = hardwareKey(guest.value, volumes)
    if (isEarly && now === this.#seen) {
      this.#settled = records
      return
    }
    this.#settled = []
    this.#working = true
    this.#anew = false
    this.#round(guest.value, grant, volumes)
      .then((pending) => {
        this.#seen = now
        this.#notBeforeMs = pending.length === 0 ? Infinity : clock.monotonicMs() + RETRY_MS
      })
      .catch((error: unknown) => {
        this.#options.context.log.error('the hardware of a guest could not be looked after', { error })
        this.#notBeforeMs = clock.monotonicMs() + RETRY_MS
      })
      .finally(() => {
        this.#working = false
        // The records may have changed meanwhile.
        this.look()
      })
  }

  /** Undefined while the run is over, or on its way to another host: then nothing may change. */
  #grant(): Grant | undefined {
    const { context, guest, epoch } = this.#options
    const grant = context.mirror.state.grants.get(guest)?.value
    if (!isActive(grant) || grant.host !== context.self || grant.epoch !== epoch || grant.state !== 'held')
      return undefined
    return grant.handover ? undefined : grant
  }

  async #round(guest: Guest, grant: Grant, volumes: readonly Versioned<Volume>[]): Promise<readonly PendingChange[]> {
    const { context } = this.#options
    const before = await context.guests.hardware(guest.id)
    if (!before.ok) return [{ what: 'hardware', why: before.error.message }]
    const pending: PendingChange[] = []
    const attempt = async (what: string, work: () => Promise<Result<unknown>>) => {
      if (this.#options.isOver() || this.#grant() === undefined) return
      const done = await work()
      if (!done.ok) pending.push({ what, why: done.error.message })
    }
    const work = this.#work(guest, grant, volumes, before.value)
    for (const { what, run } of work) await attempt(what, run)
    const after = await this.#grow(guest, before.value, attempt)
    if (after.ok && !this.#options.isOver()) this.#tell(after.value, [...pending, ...atNextStart(guest, after.value)])
    return pending
  }

  /** Memory and processors, then the balloon, then the word that nothing is held any more. Returns what there is at last. */
  async #grow(
    guest: Guest,
    before: HardwareFacts,
    attempt: (what: string, work: () => Promise<Result<unknown>>) => Promise<void>,
  ): Promise<Result<HardwareFacts>> {
    const { context, epoch } = this.#options
    const each = async ({ what, run, done }: GrowthWork) =>
      attempt(what, async () => {
        const result = await run()
        if (result.ok) this.#changed(guest, done)
        return result
      })
    for (const work of sizeWork(context.guests, guest, before)) await each(work)
    const sized = await context.guests.hardware(guest.id)
    if (!sized.ok) return sized
    const balloon = balloonWork(context.guests, guest, sized.value)
    for (const work of balloon) await each(work)
    if (hasGivenBack(guest, sized.value)) await attempt('hardware', () => releaseHolds(context.store, guest, epoch))
    return balloon.length === 0 ? sized : context.guests.hardware(guest.id)
  }

  #work(
    guest: Guest,
    grant: Grant,
    volumes: readonly Versioned<Volume>[],
    facts: HardwareFacts,
  ): { readonly what: string; readonly run: () => Promise<Result<unknown>> }[] {
    const { context } = this.#options
    const slots = new Map(volumes.map(({ value }, position) => [value.id, diskSlot(value, position)]))
    const present = new Map(facts.disks.map((disk) => [disk.volume, disk]))
    const disks = volumes.flatMap((versioned) => {
      const { value: volume } = versioned
      if (volume.role !== undefined) return []
      const disk = present.get(volume.id)
      const what = `disk ${volume.name}`
      if (isLeaving(volume)) return [{ what, run: () => this.#removeDisk(guest, versioned, disk !== undefined) }]
      if (!disk) return [{ what, run: () => this.#addDisk(guest, grant, volume, slots.get(volume.id) ?? 0) }]
      const { limits = {} } = volume
      const isBehind = isResized(volume, disk.sizeBytes)
      return [
        ...(isBehind ? [{ what, run: () => this.#growDisk(guest, volume) }] : []),
        ...(isBehind || disk.fileSystemIsSmaller
          ? [{ what: `file system of ${volume.name}`, run: () => context.guests.growFileSystem(guest.id, volume.id) }]
          : []),
        ...(sameLimits(limits, disk.limits)
          ? []
          : [{ what, run: () => context.guests.limitDisk(guest.id, volume.id, limits) }]),
      ]
    })
    // Where a new disk is to be mounted is among a container's settings.
    return [...this.#containerWork(guest, facts), ...disks, ...this.#nicWork(guest, facts)]
  }

  #containerWork(guest: Guest, facts: HardwareFacts) {
    const { guests } = this.#options.context
    if (!guest.container || !facts.container) return []
    // Whether it may nest is decided at its start.
    const wanted = { ...launchContainer(guest, guest.container), nesting: facts.container.nesting }
    if (JSON.stringify(wanted) === JSON.stringify(facts.container)) return []
    return [{ what: 'settings', run: () => guests.setContainer(guest.id, wanted) }]
  }

  async #addDisk(guest: Guest, grant: Grant, volume: Volume, slot: number): Promise<Result<void>> {
    const { context, records, disks } = this.#options
    const opened = await openDisk(context, grant, volume, records)
    if (!opened.ok) return opened
    const disk = { ...opened.value, slot }
    const added = await context.guests.addDisk(guest.id, disk)
    if (!added.ok) return added
    disks().add(disk)
    const { limits } = volume
    if (limits) await context.guests.limitDisk(guest.id, volume.id, limits)
    this.#changed(guest, `${guest.name} has the disk ${volume.name}`)
    return ok()
  }

  async #growDisk(guest: Guest, volume: Volume): Promise<Result<void>> {
    const { disks, mayGrow } = this.#options
    if (!mayGrow()) return fail(failure('conflict', 'a snapshot of its disks is being made'))
    this.#growing = true
    const grown = await disks().grow(volume)
    this.#growing = false
    if (grown.ok) this.#changed(guest, `the disk ${volume.name} of ${guest.name} has ${mebibytes(volume.sizeBytes)}`)
    return grown
  }

  async #removeDisk(guest: Guest, volume: Versioned<Volume>, present: boolean): Promise<Result<void>> {
    const { context, disks, epoch } = this.#options
    const { id, name, replicas } = volume.value
    const removed = present ? await context.guests.removeDisk(guest.id, id) : ok({ flushed: true })
    if (!removed.ok) return removed
    disks().remove(id)
    const revoked = await Promise.all(
      replicas
        // What is lost serves nobody any more.
        .filter(({ host }) => context.mirror.state.statuses.get(host)?.value.state !== 'lost')
        .map(({ host, pool }) => context.volumesOn(host).revokeExport(id, pool, exportNameOf(id, epoch))),
    )
    const refused = revoked.find((each) => !each.ok)
    if (refused) return refused
    const written = await this.#detach(guest, volume.value, removed.value.flushed)
    if (written.ok) this.#changed(guest, `${guest.name} has given the disk ${name} back`)
    return written
  }

  /** Reads the records anew: what this host has in its copy may be older than its own writes. */
  async #detach(guest: Guest, volume: Volume, flushed: boolean): Promise<Result<void>> {
    const { context, epoch } = this.#options
    const [grant, guestNow, volumeNow] = await Promise.all([
      context.store.get(KEYS.grant(guest.id)),
      context.store.get(KEYS.guest(guest.id)),
      context.store.get(KEYS.volume(volume.id)),
    ])
    if (!grant.ok) return grant
    if (!guestNow.ok) return guestNow
    if (!volumeNow.ok) return volumeNow
    if (!grant.value || !guestNow.value || !volumeNow.value) return ok()
    const { compares, writes } = detachWrites(parsed<Guest>(guestNow.value), parsed<Volume>(volumeNow.value), {
      flushed,
      epoch,
      wallMs: context.clock.wallMs(),
    })
    const held = parsed<Grant>(grant.value)
    if (held.value.epoch !== epoch) return fail(failure('stale_epoch', 'The grant was given to another host'))
    const own = { key: KEYS.grant(guest.id), modRevision: held.revision }
    const outcome = await context.store.transact({ compares: [...compares, own], writes })
    if (!outcome.ok) return outcome
    return outcome.value.committed ? ok() : fail(failure('changed_meanwhile', 'The records changed meanwhile'))
  }

  #nicWork(guest: Guest, facts: HardwareFacts) {
    const { context } = this.#options
    const wanted = new Map(guest.nics.map((nic, position) => [nicSlot(nic, position), nic]))
    const leaving = facts.nics
      .filter(({ slot, mac }) => wanted.get(slot)?.mac !== mac)
      .map(({ slot }) => ({ what: `nic ${slot}`, run: () => this.#removeNic(guest, slot) }))
    const present = new Set(facts.nics.map(({ slot, mac }) => `${slot} ${mac}`))
    const coming = [...wanted]
      .filter(([slot, nic]) => !present.has(`${slot} ${nic.mac}`))
      .map(([slot, nic]) => ({ what: `nic ${slot}`, run: () => this.#addNic(guest, slot, nic) }))
    const limited = [...wanted]
      .map(([slot, nic]) => [slot, { ...nicLimitsOf(guest.container?.limits ?? {}), ...nic.limits }] as const)
      .filter(([slot, limits]) => (this.#nicLimits.get(slot) ?? '{}') !== JSON.stringify(limits))
      .map(([slot, limits]) => ({
        what: `nic ${slot}`,
        run: async () => {
          const set = await context.network.limitTap(guest.id, slot, limits)
          if (set.ok) this.#nicLimits.set(slot, JSON.stringify(limits))
          return set
        },
      }))
    const isolated = [...wanted]
      .map(([slot, nic]) => [slot, withPace(guest, nic)] as const)
      .filter(([slot, nic]) => this.#isolatedAs.get(slot) !== JSON.stringify(nic))
      .map(([slot, nic]) => ({
        what: `nic ${slot}`,
        run: async () => {
          const done = await context.network.isolate(guest.id, slot, nic)
          if (done.ok) this.#isolatedAs.set(slot, JSON.stringify(nic))
          return done
        },
      }))
    const addressed = facts.nics.flatMap(({ slot, addresses, gateways = [] }) => {
      const nic = wanted.get(slot)
      if (addresses === undefined || !nic) return []
      const next = { addresses: nic.addresses ?? [], gateways: nic.gateways ?? [] }
      if (JSON.stringify(next) === JSON.stringify({ addresses, gateways })) return []
      return [{ what: `nic ${slot}`, run: () => context.guests.setAddresses(guest.id, slot, next) }]
    })
    return [...leaving, ...coming, ...isolated, ...addressed, ...limited]
  }

  async #addNic(guest: Guest, slot: number, nic: Nic): Promise<Result<void>> {
    const { network, guests } = this.#options.context
    const port = guest.container
      ? await containerPort(network, guest, slot, nic)
      : await network.ensureTap(guest.id, slot, withPace(guest, nic))
    if (!port.ok) return port
    const added = await guests.addNic(guest.id, { ...nic, slot, tap: port.value })
    if (added.ok) this.#changed(guest, `${guest.name} has the network card ${slot}, ${nic.mac}`)
    return added
  }

  async #removeNic(guest: Guest, slot: number): Promise<Result<void>> {
    const { network, guests } = this.#options.context
    const removed = await guests.removeNic(guest.id, slot)
    if (!removed.ok) return removed
    this.#nicLimits.delete(slot)
    this.#isolatedAs.delete(slot)
    this.#changed(guest, `${guest.name} has given the network card ${slot} back`)
    return network.removeTap(guest.id, slot)
  }

  #tell(facts: HardwareFacts, pending: readonly PendingChange[]): void {
    const { memoryBytes, cpus, memoryMaxBytes, cpusMax, balloonBytes } = facts
    const hardware: HardwareObservation = {
      volumes: facts.disks.map(({ volume, sizeBytes }) => ({ id: volume, sizeBytes })),
      nics: facts.nics.map(({ slot, mac }) => ({ slot, mac })),
      memoryBytes,
      ...(memoryBytes > facts.memoryMinBytes ? { addedMemoryBytes: memoryBytes - facts.memoryMinBytes } : {}),
      cpus,
      ...(memoryMaxBytes > facts.memoryMinBytes ? { memoryMaxBytes } : {}),
      ...(cpusMax > facts.cpusMin ? { cpusMax } : {}),
      ...(balloonBytes === undefined ? {} : { balloonBytes }),
      pending,
    }
    const text = JSON.stringify(hardware)
    if (text === this.#observed) return
    this.#observed = text
    this.#options.onObserved(hardware)
  }

  #changed(guest: Guest, message: string): void {
    const { context } = this.#options
    context.events.tell({ kind: 'guest.changed', subject: `guest/${guest.name}`, message })
  }
}

function isSame(some: readonly unknown[], others: readonly unknown[]): boolean {
  return some.length === others.length && some.every((each, at) => each === others[at])
}

/** All that the records say of the hardware, as text. */
export function hardwareKey(guest: Guest, volumes: readonly Versioned<Volume>[]): string {
  const { nics, memoryBytes, cpus, balloonBytes, holds, container } = guest
  const disks = volumes.map(({ value: { id, slot, limits, attachment, sizeBytes } }) => ({
    ...{ id, slot, limits, attachment, sizeBytes },
  }))
  return JSON.stringify({ disks, nics, memoryBytes, cpus, balloonBytes, holds, container })
}

/** Of a guest that is about to be started: undefined when there is something to do for it right after. */
export function startingKey(state: ClusterState, guest: Guest): string | undefined {
  const volumes = volumesOf(state, guest) ?? []
  const isLimited = guest.nics.some(({ limits }) => limits) || volumes.some(({ value }) => value.limits)
  // One whose memory is brought back has the balloon and the rest of that time.
  const isOfEarlier = guest.holds !== undefined || guest.resumeFrom !== undefined
  // A container's port is on the bridge only once it runs: what holds it to its addresses there is looked after then.
  const hasMore = isLimited || isOfEarlier || guest.balloonBytes !== undefined || guest.kind === 'ct'
  return hasMore || volumes.some(({ value }) => isLeaving(value)) ? undefined : hardwareKey(guest, volumes)
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}

/** The order of the fields means nothing. */
function sameLimits(a: object, b: object): boolean {
  const text = (limits: object) => JSON.stringify(Object.entries(limits).toSorted(([x], [y]) => (x < y ? -1 : 1)))
  return text(a) === text(b)
}

function parsed<T>(entry: StoreEntry): Versioned<T> {
  return { value: JSON.parse(entry.value) as T, revision: entry.modRevision }
}
