/**
 * Opens a running guest's disk anew, as its record says: with the size that it has there, or from other files. Who calls has paused the guest and keeps all other surgery
 * away. Every step and what follows when somebody dies at it is in docs/internals/hardware.md.
 */
import { failure, type Failure } from '../errors.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { replicaOn } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { GuestDisk, Leg } from '../ports/guest-host.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { widthOf } from './disk-opening.ts'
import { withinServing } from './leg-exchange.ts'
import { legEndpoint } from './leg-paths.ts'

export interface LiveGrowth {
  readonly guest: GuestId
  readonly volume: Volume
  readonly epoch: number
  /** Those whose replicas the disk writes to. */
  readonly hosts: readonly HostId[]
  /** A replica is not served any more. Resolves once that is recorded; false: the run is over. */
  readonly onLost: (host: HostId, error: Failure) => Promise<boolean>
  /**
   * What is done while nothing can be written to the disk. Resolves to the record by which it is opened afterwards;
   * undefined: the run is over. Absent: nothing, and that is `volume`.
   */
  readonly whileHeld?: () => Promise<Volume | undefined>
}

export type Grown =
  | { readonly kind: 'grown'; readonly disk: GuestDisk }
  /** Nothing was done: the disk is as it was. */
  | { readonly kind: 'untouched'; readonly error: Failure }
  /** The disk has no legs, and the guest must not go on. */
  | { readonly kind: 'broken'; readonly error: Failure }

/** Before the guest is paused for it: refused where a replica has no room. A host that does not answer is another matter. */
export async function hasRoomToGrow(
  context: HostContext,
  volume: Volume,
  hosts: readonly HostId[],
): Promise<Result<void>> {
  const answers = await Promise.all(
    hosts.map(async (host) => {
      const { pool } = replicaOn(volume, host) ?? {}
      if (pool === undefined) return fail(failure('not_found', `${host} holds no replica of ${volume.name}`))
      return context.volumesOn(host).reserveReplica({ volume: volume.id, pool, sizeBytes: volume.sizeBytes })
    }),
  )
  return answers.find((answer) => !answer.ok) ?? ok()
}

export async function growLive(context: HostContext, growth: LiveGrowth): Promise<Grown> {
  const { guest, hosts, onLost } = growth
  const { id } = growth.volume
  // From here on the guest can write nothing to it, whoever lets it go on.
  const held = await context.guests.holdDisk(guest, id)
  if (!held.ok) return { kind: 'untouched', error: held.error }
  const volume = growth.whileHeld ? await growth.whileHeld() : growth.volume
  if (!volume) return { kind: 'broken', error: failure('stale_epoch', 'Another host was granted the guest') }
  const { sizeBytes } = volume
  const served = await Promise.all(hosts.map((host) => serve(context, { ...growth, volume }, host)))
  const legs: Leg[] = []
  let error = failure('replica_not_current', `No replica of ${volume.name} is served any more`)
  for (const [index, leg] of served.entries()) {
    if (leg.ok) legs.push(leg.value)
    else error = leg.error
    const isOver = !leg.ok && served.some(({ ok: isServed }) => isServed) && !(await onLost(hosts[index]!, leg.error))
    if (isOver) return { kind: 'broken', error }
  }
  if (legs.length === 0) return { kind: 'broken', error }
  const ordered = legs.toSorted((a, b) => Number(b.local ?? false) - Number(a.local ?? false))
  const disk = { volume: id, sizeBytes, width: widthOf(volume), legs: ordered }
  const grown = await context.guests.growDisk(guest, disk)
  return grown.ok ? { kind: 'grown', disk } : { kind: 'broken', error: grown.error }
}

async function serve(context: HostContext, { volume, epoch }: LiveGrowth, host: HostId): Promise<Result<Leg>> {
  const { id, name, sizeBytes } = volume
  const { pool } = replicaOn(volume, host) ?? {}
  if (pool === undefined) return fail(failure('not_found', `${host} holds no replica of ${name}`))
  const answer = context.volumesOn(host).serveAnew({ volume: id, pool, epoch, sizeBytes })
  const address = await withinServing(context, host, answer)
  if (!address.ok) return address
  const endpoint = await legEndpoint(context, host, address.value)
  const { exportName, folder } = address.value
  return ok({ host, endpoint, exportName, ...(folder === undefined ? {} : { folder }), local: host === context.self })
}
