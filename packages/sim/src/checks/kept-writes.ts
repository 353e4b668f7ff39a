/**
 * No write is lost. What a guest flushed stays as long as one replica is called current. What it was told is written,
 * but has not flushed, outlives any single failure, and may go when another one comes on top of a loss of power.
 */
import type { Grant } from '@stead/core/model/grant.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { inSync } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Disk, Process } from '../memory-machine.ts'
import { slotOf, SLOTS } from '../world-storage.ts'
import type { Evidence } from './evidence.ts'

interface Promised {
  /** Of the volume's record, and of its guest's grant. */
  readonly key: string
  readonly grantKey: string
  /** By block: the highest number that the guest was told is written. */
  readonly written: number[]
  /** By block: what `written` was before its last change. */
  readonly before: number[]
  /** By block: the highest number that the guest was told lasts. */
  readonly flushed: number[]
  /** The newest run that has begun. */
  begunEpoch: number
  /** Hosts that have lost their power with a current replica; until it is called stale, or a run has begun with it. */
  readonly undoneOn: Set<HostId>
  /** Hosts that the volume's newest record calls current. */
  current: { readonly of: Volume; readonly hosts: readonly HostId[] } | undefined
}

export class KeptWrites {
  readonly #evidence: Evidence
  readonly #promised = new Map<VolumeId, Promised>()
  #acknowledged = 0

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  /** How many writes guests were told are done. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  watch(volume: VolumeId, guest: GuestId): void {
    const zeros = () => Array.from({ length: SLOTS }, () => 0)
    this.#promised.set(volume, {
      key: KEYS.volume(volume),
      grantKey: KEYS.grant(guest),
      written: zeros(),
      before: zeros(),
      flushed: zeros(),
      begunEpoch: 0,
      undoneOn: new Set(),
      current: undefined,
    })
  }

  forget(volume: VolumeId): void {
    this.#promised.delete(volume)
  }

  highestOf(volume: VolumeId): number {
    return Math.max(0, ...(this.#promised.get(volume)?.written ?? []))
  }

  /** A run begins: all it can read is what was promised, the same on all its legs. */
  started(host: HostId, { launch, disks }: Process): void {
    for (const [volume, { connections }] of disks) {
      const promised = this.#promised.get(volume)
      const [first, ...others] = connections
      if (!promised || !first) continue
      promised.begunEpoch = Math.max(promised.begunEpoch, launch.epoch)
      const numbers = this.#evidence.numbersOn(first.leg.host as HostId, volume)
      for (const other of others) this.#sameOn(volume, first.leg.host, other.leg.host, 'a run begins, but')
      const slot = firstBelow(promised.written, numbers)
      if (slot !== undefined)
        return this.#evidence.violate(
          `${launch.name} begins on ${host} at epoch ${launch.epoch} with ${numbers[slot]} in block ${slot} of ${volume} on ${first.leg.host}, but ${promised.written[slot]} was acknowledged`,
        )
      for (const { leg } of connections) promised.undoneOn.delete(leg.host as HostId)
    }
  }

  acknowledge(process: Process, { volume, acknowledged }: Disk): void {
    this.#acknowledged += 1
    const promised = this.#promised.get(volume)
    if (!promised || this.#isOver(promised, process)) return
    const slot = slotOf(acknowledged)
    promised.before[slot] = promised.written[slot] ?? 0
    promised.written[slot] = Math.max(promised.written[slot] ?? 0, acknowledged)
    for (const host of this.#currentHosts(promised)) this.#holds(volume, host, slot, acknowledged)
  }

  /** `upTo`: the last write that was done when the flush was sent. */
  flushed(process: Process, { volume }: Disk, upTo: number): void {
    const promised = this.#promised.get(volume)
    if (!promised || this.#isOver(promised, process)) return
    for (const [slot, written] of promised.written.entries()) {
      // A write may have been done after the flush was sent: then the one before it is what lasts.
      const last = written <= upTo ? written : (promised.before[slot] ?? 0)
      if (last <= upTo) promised.flushed[slot] = Math.max(promised.flushed[slot] ?? 0, last)
    }
    for (const host of this.#currentHosts(promised)) {
      const lasting = this.#evidence.flushedNumbersOn(host, volume)
      const slot = firstBelow(promised.flushed, lasting)
      if (slot !== undefined)
        this.#evidence.violate(
          `write ${promised.flushed[slot]} of ${volume} was flushed, but the current replica on ${host} could lose it`,
        )
    }
  }

  /**
   * What a run hears after its successor has begun promises nothing: it woke up from standing still, and is about to end.
   * Until then a write that it was told is done was done, and its successor must find it.
   */
  #isOver({ begunEpoch, grantKey }: Promised, { launch }: Process): boolean {
    return begunEpoch > launch.epoch && (this.#evidence.record<Grant>(grantKey)?.epoch ?? 0) > launch.epoch
  }

  /** A run is over. If a current replica's host has lost its power before that, two failures came together. */
  ended({ disks }: Process): void {
    for (const volume of disks.keys()) {
      const promised = this.#promised.get(volume)
      if (promised && promised.undoneOn.size > 0) giveUpUnflushed(promised)
    }
  }

  /**
   * Called when a storage daemon is gone, with the volumes of which it may have lost what was not flushed. The runs that wrote
   * to it go on without this replica, which is found out when they write the next time.
   */
  daemonLost(host: HostId, layered: readonly VolumeId[]): void {
    for (const volume of layered) {
      const promised = this.#promised.get(volume)
      const record = promised && this.#evidence.record<Volume>(promised.key)
      if (!record || !inSync(record).some((replica) => replica.host === host)) continue
      const own = this.#evidence.numbersOn(host, volume)
      if (firstBelow(promised.written, own) !== undefined) this.#setBack(host, volume, promised, record)
    }
  }

  #setBack(host: HostId, volume: VolumeId, promised: Promised, record: Volume): void {
    promised.undoneOn.add(host)
    const slot = firstBelow(promised.flushed, this.#evidence.numbersOn(host, volume))
    if (slot !== undefined)
      this.#evidence.violate(
        `the loss of ${host} has lost write ${promised.flushed[slot]} of ${volume}, which was flushed`,
      )
    if (inSync(record).every((replica) => promised.undoneOn.has(replica.host))) giveUpUnflushed(promised)
  }

  /** Called when what the host's disks had not flushed is gone. `written`: by runs that lived until this moment. */
  powerLost(host: HostId, written: ReadonlySet<VolumeId>): void {
    for (const [volume, promised] of this.#promised) {
      const record = this.#evidence.record<Volume>(promised.key)
      if (!record || !inSync(record).some((replica) => replica.host === host)) continue
      this.#setBack(host, volume, promised, record)
      const isSingle = this.#evidence.keepingHosts().size === this.#evidence.hostIds.length - 1
      if (!isSingle || !written.has(volume)) giveUpUnflushed(promised)
    }
  }

  /** Disks that have suffered a loss of power and not recovered from it. */
  suspects(): readonly VolumeId[] {
    return [...this.#promised].filter(([, { undoneOn }]) => undoneOn.size > 0).map(([volume]) => volume)
  }

  /** Something was broken: for disks that have suffered a loss of power already it is a second failure. */
  struck(suspects: readonly VolumeId[]): void {
    for (const volume of suspects) {
      const promised = this.#promised.get(volume)
      if (promised) giveUpUnflushed(promised)
    }
  }

  /** Every replica that the record calls current holds what was promised; legs of a resting disk are equal. */
  look(): void {
    for (const [volume, promised] of this.#promised)
      for (const host of this.#currentHosts(promised)) {
        const numbers = this.#evidence.numbersOn(host, volume)
        const slot = firstBelow(promised.written, numbers)
        if (slot !== undefined) this.#holds(volume, host, slot, promised.written[slot] ?? 0)
      }
    for (const host of this.#evidence.hostIds)
      for (const process of this.#evidence.processesOn(host)) this.#lookAtLegs(process)
  }

  /** For a moment at which nobody writes: all current replicas hold the same. */
  allEqual(volume: VolumeId): void {
    const record = this.#evidence.record<Volume>(KEYS.volume(volume))
    const [first, ...others] = record ? inSync(record) : []
    if (first) for (const other of others) this.#sameOn(volume, first.host, other.host, 'at rest,')
  }

  #lookAtLegs({ disks, launch }: Process): void {
    for (const [volume, disk] of disks) {
      const promised = this.#promised.get(volume)
      if (!promised || disk.pending || disk.failed) continue
      // A deposed run may not know yet that its legs were taken away.
      if (this.#evidence.record<Grant>(promised.grantKey)?.epoch !== launch.epoch) return
      let first: string | undefined
      for (const { attached, broken, leg } of disk.connections) {
        if (!attached || broken || promised.undoneOn.has(leg.host as HostId)) continue
        if (first === undefined) first = leg.host
        else this.#sameOn(volume, first, leg.host, `while ${launch.name} runs,`)
      }
    }
  }

  #sameOn(volume: VolumeId, host: string, other: string, when: string): void {
    const expected = this.#evidence.numbersOn(host as HostId, volume)
    const found = this.#evidence.numbersOn(other as HostId, volume)
    if (expected.every((value, slot) => value === found[slot])) return
    this.#evidence.violate(
      `${when} the replicas of ${volume} differ: ${host} holds ${expected.join(' ')}, ${other} holds ${found.join(' ')}`,
    )
  }

  #holds(volume: VolumeId, host: HostId, slot: number, value: number): void {
    const found = this.#evidence.numbersOn(host, volume)[slot] ?? 0
    if (found < value)
      this.#evidence.violate(
        `write ${value} of ${volume} was acknowledged, but the current replica on ${host} holds ${found} there`,
      )
  }

  /** Without those that a loss of power has set back: they are found out when they are opened, and not before. */
  #currentHosts(promised: Promised): readonly HostId[] {
    const record = this.#evidence.record<Volume>(promised.key)
    if (!record) return []
    if (promised.current?.of !== record)
      promised.current = { of: record, hosts: inSync(record).map((replica) => replica.host) }
    const { undoneOn, current } = promised
    if (undoneOn.size === 0) return current.hosts
    for (const host of undoneOn) if (!current.hosts.includes(host)) undoneOn.delete(host)
    return current.hosts.filter((host) => !undoneOn.has(host))
  }
}

/** The first block that holds an older write than it should. */
function firstBelow(promised: readonly number[], found: readonly number[]): number | undefined {
  for (let slot = 0; slot < promised.length; slot++) if ((found[slot] ?? 0) < (promised[slot] ?? 0)) return slot
  return undefined
}

function giveUpUnflushed({ written, before, flushed }: Promised): void {
  for (const [slot, value] of flushed.entries()) {
    written[slot] = value
    before[slot] = value
  }
}
