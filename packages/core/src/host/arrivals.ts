/**
 * The destination's side of live moves: opens the disks beside the run that is still elsewhere, and keeps a hypervisor
 * waiting for the guest. Whether the guest ever belongs here is decided by its grant alone; what waits for a hand-over
 * that is over is ended. docs/internals/migration.md.
 */
import { failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { inSync } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { GuestDisk, GuestLaunch } from '../ports/guest-host.ts'
import { migrationPolicyOf } from '../ha/planning-problem.ts'
import type { ArrivalEndpoint, RestEndpoint } from '../ports/guest-migration.ts'
import { fail, ok, type Result } from '../result.ts'
import { widthOf } from './disk-opening.ts'
import { mayPostCopy } from './memory-rest.ts'
import { guestParts } from './guest-parts.ts'
import { addressOf, type HostContext } from './host-context.ts'
import { legEndpoint } from './leg-paths.ts'
import { SerialQueue } from './serial-queue.ts'

/**
 * For so long after a guest goes on, both hosts leave undone what remains to be done about it: where processors are few that
 * was in the way of its first packet, by 15 to 20 ms of 120.
 */
export const FIRST_STEPS_MS = 70

export interface ArrivalRequest {
  readonly guest: GuestId
  /** Of the hand-over. */
  readonly epoch: number
  /** What the guest runs with now; its disks, taps and files are replaced by this host's own. */
  readonly launch: GuestLaunch
  readonly secret: string
}

export interface PreparedArrival {
  readonly endpoint: ArrivalEndpoint
  /** What was opened. The revision is that of the volume's record (a bigint in decimal), which must still be true. */
  readonly volumes: readonly PreparedVolume[]
}

export interface PreparedVolume {
  readonly volume: VolumeId
  readonly revision: string
  readonly hosts: readonly HostId[]
}

/** What one host's agent offers to the host that a guest leaves. */
export interface ArrivalHost {
  prepare(request: ArrivalRequest): Promise<Result<PreparedArrival>>
  /** Fetches what the guest's console has said beyond `offset` on the host that it is about to leave. How far it has come, bytes. */
  carryConsole(guest: GuestId, from: HostId, offset: number): Promise<Result<number>>
  /** Listens once more for the rest of a guest that runs there at this epoch. */
  receiveRest(guest: GuestId, epoch: number): Promise<Result<RestEndpoint>>
  /** The move came to nothing. Harmless when nothing waits. */
  abandon(guest: GuestId, epoch: number): Promise<Result<void>>
}

interface Waiting {
  readonly epoch: number
  readonly disks: readonly GuestDisk[]
}

export class Arrivals implements ArrivalHost {
  readonly #context: HostContext
  readonly #waiting = new Map<GuestId, Waiting>()
  /** Steps of one guest run one after the other; many guests may come at once. */
  readonly #turns = new Map<GuestId, SerialQueue>()

  constructor(context: HostContext) {
    this.#context = context
  }

  prepare(request: ArrivalRequest): Promise<Result<PreparedArrival>> {
    return this.#inTurn(request.guest, () => this.#prepare(request))
  }

  abandon(guest: GuestId, epoch: number): Promise<Result<void>> {
    return this.#inTurn(guest, async () => {
      if (this.#waiting.get(guest)?.epoch === epoch) await this.#end(guest)
      return ok()
    })
  }

  async carryConsole(guest: GuestId, from: HostId, offset: number): Promise<Result<number>> {
    return ok((await this.#context.consoleLogs?.carry(guest, from, offset)) ?? offset)
  }

  async receiveRest(guest: GuestId, epoch: number): Promise<Result<RestEndpoint>> {
    const { mirror, migration, self } = this.#context
    const grant = mirror.state.grants.get(guest)?.value
    if (!this.#isOurs(grant, epoch) || grant?.memoryOn === undefined)
      return fail(failure('stale_epoch', `Nothing of the guest is awaited here at epoch ${epoch}`))
    return migration.receiveRest(guest, migrationAddress(mirror.state, self))
  }

  /** The disks of what waits here, once the grant says that the guest is ours at this epoch. */
  take(guest: GuestId, epoch: number): readonly GuestDisk[] | undefined {
    const waiting = this.#waiting.get(guest)
    if (waiting?.epoch !== epoch) return undefined
    this.#waiting.delete(guest)
    return waiting.disks
  }

  /** Ends what waits for a hand-over that the cluster has given up. */
  look(state: ClusterState): void {
    for (const [guest, { epoch }] of this.#waiting) {
      const grant = state.grants.get(guest)?.value
      // Of a source that is lost nothing comes any more, and its stream need not end: this host's memory is wanted.
      const isSourceLost = grant !== undefined && state.statuses.get(grant.host)?.value.state === 'lost'
      if (this.#isOurs(grant, epoch) || (this.#isAwaited(grant, epoch) && !isSourceLost)) continue
      // This host's copy of the records may be behind: what it has not heard of yet is no reason.
      if (grant && grant.epoch < epoch && grant.handover === undefined && (grant.spentEpoch ?? 0) < epoch) continue
      void this.abandon(guest, epoch)
    }
  }

  #isAwaited(grant: Grant | undefined, epoch: number): boolean {
    return grant?.handover?.to === this.#context.self && grant.handover.epoch === epoch
  }

  #isOurs(grant: Grant | undefined, epoch: number): boolean {
    return grant?.host === this.#context.self && grant.epoch === epoch && grant.state !== 'released'
  }

  #inTurn<T>(guest: GuestId, task: () => Promise<T>): Promise<T> {
    let turns = this.#turns.get(guest)
    if (!turns) this.#turns.set(guest, (turns = new SerialQueue()))
    return turns.run(task)
  }

  async #prepare({ guest: id, epoch, launch, secret }: ArrivalRequest): Promise<Result<PreparedArrival>> {
    const { migration, network, hostDevices, mirror, self } = this.#context
    const [guest, grant] = await Promise.all([this.#read<Guest>(KEYS.guest(id)), this.#read<Grant>(KEYS.grant(id))])
    if (!guest.ok) return guest
    if (!grant.ok) return grant
    if (!this.#isAwaited(grant.value.value, epoch))
      return fail(failure('stale_epoch', `${guest.value.value.name} is not on its way here at epoch ${epoch}`))
    await this.#end(id)
    const [opened, parts] = await Promise.all([
      this.#openDisks(launch, epoch),
      guestParts(this.#context, guest.value.value, { arriving: true }),
    ])
    if (!opened.ok || !parts.ok) {
      hostDevices.settle(id)
      await network.removeTaps(id)
    }
    if (!opened.ok) return opened
    if (!parts.ok) return parts
    const { disks, volumes } = opened.value
    const address = migrationAddress(mirror.state, self)
    const arrival = await migration.receive(
      { ...launch, ...parts.value, epoch, disks },
      {
        address,
        secret,
        postCopy: mayPostCopy(mirror.state, grant.value.value.handover),
        compressed: migrationPolicyOf(mirror.state).compressed === true,
      },
    )
    hostDevices.settle(id)
    if (!arrival.ok) {
      await network.removeTaps(id)
      return arrival
    }
    this.#waiting.set(id, { epoch, disks })
    return ok({ endpoint: arrival.value, volumes })
  }

  /** Every current replica, beside the run that has them open now; all of them, or the move is not worth beginning. */
  async #openDisks(
    launch: GuestLaunch,
    epoch: number,
  ): Promise<Result<{ readonly disks: readonly GuestDisk[]; readonly volumes: readonly PreparedVolume[] }>> {
    const opened = await Promise.all(launch.disks.map((disk) => this.#openDisk(disk, epoch)))
    const disks: GuestDisk[] = []
    const volumes: PreparedVolume[] = []
    for (const one of opened) {
      if (!one.ok) return one
      disks.push(one.value.disk)
      volumes.push(one.value.prepared)
    }
    return ok({ disks, volumes })
  }

  /** Where the disk is in the machine, and how large it is, is as the source has it; it can have no fewer legs than there. */
  async #openDisk(
    { volume: id, sizeBytes, width, slot, role }: GuestDisk,
    epoch: number,
  ): Promise<Result<{ readonly disk: GuestDisk; readonly prepared: PreparedVolume }>> {
    const { self } = this.#context
    const record = await this.#read<Volume>(KEYS.volume(id))
    if (!record.ok) return record
    const { value: volume, revision } = record.value
    const replicas = inSync(volume).toSorted((a, b) => Number(b.host === self) - Number(a.host === self))
    const answers = await Promise.all(
      replicas.map(({ host, pool }) =>
        this.#context
          .volumesOn(host)
          .exportToGuest({ volume: id, pool, epoch, syncPoint: volume.syncPoint, rejoining: false }),
      ),
    )
    const legs: GuestDisk['legs'][number][] = []
    for (const [index, answer] of answers.entries()) {
      const { host } = replicas[index]!
      if (!answer.ok) return answer
      const { exportName } = answer.value
      const endpoint = await legEndpoint(this.#context, host, answer.value)
      legs.push({ host, endpoint, exportName, local: host === self })
    }
    const place = { ...(slot === undefined ? {} : { slot }), ...(role === undefined ? {} : { role }) }
    const disk = { volume: id, sizeBytes, legs, width: Math.max(width, widthOf(volume)), ...place }
    return ok({ disk, prepared: { volume: id, revision, hosts: replicas.map(({ host }) => host) } })
  }

  async #end(guest: GuestId): Promise<void> {
    if (!this.#waiting.has(guest)) return
    const { guests, network, log } = this.#context
    const killed = await guests.kill(guest)
    if (!killed.ok) throw new Error(killed.error.message, { cause: killed.error })
    await network.removeTaps(guest)
    this.#waiting.delete(guest)
    log.info('what waited for a guest is ended', { guest })
  }

  async #read<T>(key: string): Promise<Result<{ readonly value: T; readonly revision: string }>> {
    const entry = await this.#context.store.get(key)
    if (!entry.ok) return entry
    if (!entry.value) return fail(failure('not_found', `There is no record ${key}`))
    return ok({ value: JSON.parse(entry.value.value) as T, revision: String(entry.value.modRevision) })
  }
}

function migrationAddress(state: ClusterState, host: HostId): string {
  return addressOf(state, host, ['ran', 'san', 'lan'])
}
