/**
 * All members but one are lost for ever: what the records must say for the last one to go on alone. Pure, and made of
 * what is left to do, so that it can be asked again after a crash. docs/internals/recovery.md.
 */
import type { ClusterState, Versioned } from '../model/cluster.ts'
import { withoutHandover, type Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { isActive, volumesOf } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'

export interface Loneliness {
  /** The host that is left. */
  readonly self: HostId
  /** Every other member, by name. */
  readonly lost: readonly HostId[]
}

/** What one guest has left. */
export interface GuestLeft {
  readonly name: string
  /** `current`: by the last word that this host has heard. `stale`: of some disk there is an older copy alone. */
  readonly copies: 'current' | 'stale' | 'none'
  readonly text: string
}

export function guestsLeft(state: ClusterState, { self }: Loneliness): readonly GuestLeft[] {
  return [...state.guests.values()]
    .filter(({ value }) => !value.deleting)
    .map(({ value }) => guestLeft(state, value, self))
    .toSorted((a, b) => a.name.localeCompare(b.name))
}

function guestLeft(state: ClusterState, guest: Guest, self: HostId): GuestLeft {
  const { name } = guest
  const volumes = (volumesOf(state, guest) ?? []).map(({ value }) => value)
  const gone = volumes.filter((volume) => copyOn(volume, self) === undefined)
  if (gone.length > 0)
    return {
      ...{ name, copies: 'none' },
      text: `${gone.map((volume) => `${volume.name} was on ${hostsOf(volume)} only`).join('; ')}: what it held is lost`,
    }
  const old = volumes.flatMap((volume) => {
    const stale = copyOn(volume, self)?.stale
    return stale ? [`${volume.name} stopped at epoch ${stale.sinceEpoch}, ${new Date(stale.since).toISOString()}`] : []
  })
  return old.length > 0
    ? { name, copies: 'stale', text: `the copy on ${self} is old: ${old.join('; ')}` }
    : { name, copies: 'current', text: `the copy on ${self} was current when it last heard of the others` }
}

/** A replica that was still being filled for the first time is no copy. */
function copyOn({ replicas }: Volume, host: HostId) {
  return replicas.find((replica) => replica.host === host && replica.incoming === undefined)
}

function hostsOf({ replicas }: Volume): string {
  return replicas.map(({ host }) => host).join(' and ')
}

/** One record, compared and written. */
export interface RecordStep {
  readonly compare: Compare
  readonly write: Write
}

/**
 * Guests and their disks, before the hosts go: runs of lost hosts have ended, and copies there count for nothing where this
 * host has one. Empty when nothing is left to be done.
 */
export function guestSteps(state: ClusterState, alone: Loneliness): readonly RecordStep[] {
  const volumes = [...state.volumes.values()].flatMap((known) => {
    const next = volumeLeft(known.value, alone)
    return next === known.value ? [] : [put(KEYS.volume(next.id), known, next)]
  })
  const grants = [...state.grants.values()].flatMap((known) => {
    const next = grantLeft(known.value, alone)
    return next === known.value ? [] : [put(KEYS.grant(next.guest), known, next)]
  })
  const removals = [...state.removals.values()].flatMap(({ value, revision }) =>
    alone.lost.includes(value.host) ? [gone(KEYS.removal(value.host, value.volume, value.pool), revision)] : [],
  )
  return [...volumes, ...grants, ...removals]
}

/** The lost hosts' own records. */
export function hostSteps(state: ClusterState, { lost }: Loneliness): readonly RecordStep[] {
  return lost.flatMap((host) => [
    ...remains(KEYS.host(host), state.hosts.get(host)),
    ...remains(KEYS.status(host), state.statuses.get(host)),
    ...remains(KEYS.policy(host), state.policies.get(host)),
  ])
}

/**
 * Where this host has no copy, the record goes on telling where they were: nobody can start the guest, and it says why.
 */
function volumeLeft(volume: Volume, { self, lost }: Loneliness): Volume {
  if (!copyOn(volume, self) || !volume.replicas.some(({ host }) => lost.includes(host))) return volume
  // A move that a lost host took part in has nowhere to go, and one within this host asks for no other.
  const isWithin = volume.move?.incoming?.host === self
  const { move, ...rest } = volume
  return {
    ...rest,
    ...(move && isWithin ? { move } : {}),
    replicas: volume.replicas.filter(({ host }) => !lost.includes(host)),
  }
}

function grantLeft(grant: Grant, { self, lost }: Loneliness): Grant {
  const needs = [grant.host, grant.memoryOn, grant.handover?.to]
  if (!isActive(grant) || !needs.some((host) => host !== undefined && lost.includes(host))) return grant
  const { memoryOn: _, ...ended } = withoutHandover(grant)
  const reason = `${lost.join(', ')} were lost for good, and ${self} goes on alone`
  return { ...ended, state: 'released', clean: false, reason }
}

function put(key: string, { revision }: Versioned<unknown>, value: unknown): RecordStep {
  return { compare: { key, modRevision: revision }, write: { kind: 'put', key, value: JSON.stringify(value) } }
}

function remains(key: string, known: Versioned<unknown> | undefined): readonly RecordStep[] {
  return known ? [gone(key, known.revision)] : []
}

function gone(key: string, revision: bigint): RecordStep {
  return { compare: { key, modRevision: revision }, write: { kind: 'delete', key } }
}
