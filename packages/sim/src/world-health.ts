/** Which part of a world is in order, as only somebody can know who sees all of it. */
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { World } from './world.ts'

/** The largest set of hosts that are all in order and reach each other on every network. */
export function soundPart(world: World): ReadonlySet<HostId> {
  return largestPart(world, isSound)
}

/**
 * The same of hosts that have all they were told to keep and can be asked for it, or will be able to within seconds:
 * their agents, storage daemons and members of the store may have been killed.
 */
export function keepingPart(world: World): ReadonlySet<HostId> {
  return largestPart(world, isKeeping)
}

function largestPart(world: World, isFit: (world: World, id: HostId) => boolean): ReadonlySet<HostId> {
  const sound = world.hostIds.filter((id) => isFit(world, id))
  let best: readonly HostId[] = []
  for (const first of sound) {
    const part = [first]
    for (const id of sound) if (part.every((other) => id !== other && areJoined(world, id, other))) part.push(id)
    if (part.length > best.length) best = part
  }
  return new Set(best)
}

/** Whether a guest fits there beside those that are granted to the host. */
export function hasRoom(world: World, id: HostId, guest: GuestId): boolean {
  if (world.host(id).role === 'witness' || world.policy(id)?.maintenance) return false
  const others = world.guests().filter((other) => other.id !== guest && world.grant(other.name)?.host === id)
  return others.filter((other) => isActive(world.grant(other.name))).length < world.memoryGuests
}

/** Nothing on the host is broken, off or standing still. */
function isSound(world: World, id: HostId): boolean {
  const { storage, etcd, host } = world
  return isKeeping(world, id) && host(id).hasRunningAgent && etcd.isUp(id) && storage.daemon(id) === 'up'
}

function isKeeping({ network, storage, host }: World, id: HostId): boolean {
  return (
    network.presence(id) === 'on' &&
    host(id).guardian.isRunning &&
    NETWORK_ROLES.every((role) => network.isClean(id, role)) &&
    storage.disk(id) === 'ok'
  )
}

function areJoined({ network }: World, one: HostId, other: HostId): boolean {
  return NETWORK_ROLES.every((role) => network.linked(one, other, role))
}
