/** The question of placement as the records pose it. */
import type { ClusterState } from '../model/cluster.ts'
import { DEFAULT_MIGRATION, DEFAULT_POLICY, type ClusterPolicy, type MigrationPolicy } from '../model/cluster-policy.ts'
import type { Grant } from '../model/grant.ts'
import { promisedTo } from '../model/growth.ts'
import { haPolicyOf, type Guest, type GuestKind } from '../model/guest.ts'
import type { Host } from '../model/host.ts'
import { hugePagesBytes, sharesOfGuest, sharesOfHost } from '../model/host-shares.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { inSync, isActive, nativeRootOf, volumesOf } from '../model/records.ts'
import { unfitForLiveMove } from './live-move.ts'
import { isDrained } from './drain.ts'
import { copyOn, copyToStartFrom, homeOf, isLostHost, poolForRoot, whyRootStays } from './root-copies.ts'
import type { Volume } from '../model/volume.ts'
import type { PlanningGuest, PlanningHost, PlanningProblem } from '../planning/problem.ts'

export interface ProblemQuestion {
  readonly state: ClusterState
  /** Hosts that are up, by the asker's own view beyond what the records say. */
  readonly isUp: (host: HostId) => boolean
  /** Guests that need a place; all others that hold a grant on a host that is up stay where they are. */
  readonly needing: ReadonlySet<GuestId>
  /** Guests that are not in the records yet, or that are to be taken otherwise than the records say. */
  readonly changed?: ReadonlyMap<GuestId, Guest>
  /** Of guests that are not in the records yet: hosts that they can't run on, and why. */
  readonly impossibleFor?: ReadonlyMap<GuestId, Readonly<Record<HostId, string>>>
  /** Guests that run and may be moved to make room, each with the hosts that it can't go to and why; as usual if absent. */
  readonly mayMove?: ReadonlyMap<GuestId, Readonly<Record<HostId, string>>>
  /** Native roots count as being wherever there is room for them: an administrator asks where a guest could be moved. */
  readonly rootsMayMove?: true
  /** It is asked what a loss would mean: native roots count as being where a copy is that their guests may start from. */
  readonly afterLoss?: true
}

export function clusterPolicyOf(state: ClusterState): ClusterPolicy {
  return state.clusterPolicy?.value ?? DEFAULT_POLICY
}

export function migrationPolicyOf(state: ClusterState): MigrationPolicy {
  return clusterPolicyOf(state).migration ?? DEFAULT_MIGRATION
}

export function problemOf(question: ProblemQuestion): PlanningProblem {
  const { state, needing, changed } = question
  const policy = clusterPolicyOf(state)
  const guests: PlanningGuest[] = []
  const known = new Set<GuestId>()
  const unfit = { vm: hostsWithout(state, 'vm'), ct: hostsWithout(state, 'ct') }
  const add = (guest: Guest) => {
    known.add(guest.id)
    const grant = state.grants.get(guest.id)?.value
    const at = isActive(grant) && question.isUp(grant.host) ? grant.host : undefined
    // On its way, or about to leave, it takes room on both hosts, also when the asker does not hear the one that it leaves;
    // the rules are asked for where it is going to be.
    const isComing = isActive(grant) && !needing.has(guest.id) && state.statuses.get(grant.host)?.value.state !== 'lost'
    const arrivesAt = isComing ? (grant.handover?.to ?? rootMoveOf(state, guest)) : undefined
    const place = arrivesAt ?? at
    if (place === undefined && !needing.has(guest.id)) return
    const elsewhere = { ...boundToItsRoot(question, guest), ...question.impossibleFor?.get(guest.id) }
    guests.push(planningGuest(question, guest, grant, place, { ...unfit[guest.kind], ...elsewhere }))
    if ((arrivesAt !== undefined || needing.has(guest.id)) && at !== undefined)
      guests.push(leavingRoom(policy, guest, at))
  }
  for (const { value } of state.guests.values()) add(changed?.get(value.id) ?? value)
  for (const guest of changed?.values() ?? []) if (!known.has(guest.id)) add(guest)
  return {
    hosts: [...state.hosts.values()].map(({ value }) => planningHost(question, policy, value)),
    guests,
    rules: [...state.rules.values()].map(({ value }) => value),
  }
}

function planningHost({ state, isUp }: ProblemQuestion, policy: ClusterPolicy, host: Host): PlanningHost {
  return {
    id: host.id,
    unusableBecause: whyUnusable(state, isUp, host),
    memoryBytes: Math.max(0, host.memoryBytes - policy.memoryReserveBytes - hugePagesBytes(host)),
    cpus: host.cpuCount * policy.cpuOvercommit,
    faultDomains: state.policies.get(host.id)?.value.faultDomains ?? {},
    devices: sharesOfHost(host),
  }
}

/**
 * What a guest takes of a host. Memory on huge pages is taken of those alone; a processor for itself is one that others
 * cannot share, so it counts as many as the policy lets share one.
 */
function needs(
  policy: ClusterPolicy,
  guest: Guest,
  runs: boolean,
): Pick<PlanningGuest, 'memoryBytes' | 'cpus' | 'devices'> {
  const { hugePages, dedicatedCpus } = guest.platform ?? {}
  const { memoryBytes, cpus } = promisedTo(guest, runs)
  return {
    memoryBytes: hugePages ? 0 : memoryBytes,
    cpus: dedicatedCpus ? cpus * policy.cpuOvercommit : cpus,
    devices: sharesOfGuest(guest),
  }
}

/** Empty when guests may be placed there. */
function whyUnusable(state: ClusterState, isUp: (host: HostId) => boolean, host: Host): string {
  const wish = state.policies.get(host.id)?.value
  if (host.role === 'witness') return 'it is a witness and runs no guests'
  if (state.statuses.get(host.id)?.value.state === 'lost') return 'it is lost'
  if (!isUp(host.id)) return 'it is not online'
  if (wish?.maintenance) return 'it is in maintenance'
  if (wish?.shutdown) return 'it is being shut down'
  return ''
}

function planningGuest(
  question: ProblemQuestion,
  guest: Guest,
  grant: Grant | undefined,
  at: HostId | undefined,
  unfit: Readonly<Record<HostId, string>>,
): PlanningGuest {
  const { state, needing } = question
  const needsPlace = needing.has(guest.id)
  const cannotGoTo = needsPlace ? undefined : question.mayMove?.get(guest.id)
  const mayGo = needsPlace || cannotGoTo !== undefined
  const preferred = mayGo ? guest.preferredHost : undefined
  const meantFor = needsPlace ? hostMeant(state, guest, grant) : undefined
  return {
    id: guest.id,
    name: guest.name,
    ...needs(clusterPolicyOf(state), guest, at !== undefined),
    priority: haPolicyOf(guest).priority,
    at,
    needsPlace,
    movable: question.mayMove ? cannotGoTo !== undefined : isMovable(state, guest, grant),
    impossible:
      needsPlace && at !== undefined ? { ...unfit, ...impossibleHosts(state, guest) } : { ...unfit, ...cannotGoTo },
    near: mayGo ? nearHosts(question, guest) : [],
    ...(preferred === undefined ? {} : { preferred }),
    ...(meantFor === undefined ? {} : { meantFor }),
    failedOn: needsPlace ? triedHosts(question, guest, grant) : [],
    dirtyBytesPerSecond: 0,
  }
}

function isMovable(state: ClusterState, guest: Guest, grant: Grant | undefined): boolean {
  if (guest.ha !== 'started' || guest.desired !== 'running') return false
  return grant?.state === 'held' && !grant.handover && rootMoveOf(state, guest) === undefined
}

/** Where its native root is being sent, so that it goes on there. */
function rootMoveOf(state: ClusterState, guest: Guest): HostId | undefined {
  const to = nativeRootOf(state, guest)?.value.move?.to
  return to === guest.moveTo ? to : undefined
}

/** What a guest that moves live still takes on the host that it leaves. */
function leavingRoom(policy: ClusterPolicy, guest: Guest, at: HostId | undefined): PlanningGuest {
  return {
    id: `${guest.id}-leaving` as GuestId,
    name: guest.name,
    ...needs(policy, guest, true),
    priority: 0,
    at,
    needsPlace: false,
    movable: false,
    impossible: {},
    near: [],
    failedOn: [],
    dirtyBytesPerSecond: 0,
  }
}

/** Of a guest that runs nowhere: where it was to go when it was stopped, or where it is to be tried again. */
function hostMeant(state: ClusterState, guest: Guest, grant: Grant | undefined): PlanningGuest['meantFor'] {
  const runs: boolean = isActive(grant)
  if (runs) return undefined
  if (guest.moveTo !== undefined) return { host: guest.moveTo, because: 'the host that it was asked to move to' }
  if (grant?.movesTo !== undefined) return { host: grant.movesTo, because: 'the host for which it was moved' }
  if (grant?.returns) return { host: grant.host, because: 'the host that it waited for' }
  if (guest.ha === 'ignored' && guest.preferredHost === undefined && grant)
    return { host: grant.host, because: 'the host on which it ran, from which HA does not move it' }
  const failures = state.observations.get(guest.id)?.value.failures ?? 0
  const hasTriesThere = failures % (haPolicyOf(guest).maxRestart + 1) !== 0
  return hasTriesThere && grant ? { host: grant.host, because: 'the host on which it is tried again' } : undefined
}

/** Where guests of this kind cannot run, with the reason. */
function hostsWithout(state: ClusterState, kind: GuestKind): Record<HostId, string> {
  const reasons: Record<HostId, string> = {}
  for (const { value: host } of state.hosts.values()) {
    if (kind === 'vm' && host.accelerator === 'none') reasons[host.id] = 'it cannot run virtual machines'
    if (kind === 'ct' && !host.containers) reasons[host.id] = 'it cannot run containers'
  }
  return reasons
}

/** A root that is a subvolume is no other host's: unless it moves there first, or a copy there is to be taken for it. */
function boundToItsRoot(
  { state, isUp, rootsMayMove, afterLoss }: ProblemQuestion,
  guest: Guest,
): Record<HostId, string> {
  const root = nativeRootOf(state, guest)?.value
  const home = root && homeOf(root)
  if (root === undefined || home === undefined) return {}
  const mayMove = rootsMayMove || rootLeaves(state, isUp, guest, root)
  const stays = mayMove ? whyRootStays(state, root)?.message : undefined
  const from = isLostHost(state, home) ? copyToStartFrom(state, guest, root, isUp) : undefined
  const others = [...state.hosts.keys()].filter((host) => host !== (from ?? home))
  return Object.fromEntries(
    others.flatMap((host) => {
      if (host === root.move?.to && guest.moveTo === host) return []
      if (afterLoss && guest.rootCopy?.onLoss === 'start-from-copy' && copyOn(root, host)?.newest) return []
      const place = mayMove ? poolForRoot(state, root, host, isUp) : undefined
      if (place?.ok && stays === undefined) return []
      const bound = `its root is a subvolume of ${home}`
      const why = stays ?? (place && !place.ok ? place.error.message : undefined)
      return [[host, why === undefined ? bound : `${bound}, and ${why}`]]
    }),
  )
}

/** It is sent away by itself, while its guest runs: its host is drained. */
function rootLeaves(state: ClusterState, isUp: (host: HostId) => boolean, guest: Guest, root: Volume): boolean {
  const grant = state.grants.get(guest.id)?.value
  const home = homeOf(root)
  if (!isActive(grant) || grant.host !== home || guest.moveTo !== undefined) return false
  return isUp(home) && isDrained(state, home)
}

/** While it still runs elsewhere: it leaves only for the host that was asked for, and live only where that is possible. */
function impossibleHosts(state: ClusterState, guest: Guest): Record<HostId, string> {
  const { moveTo, moveHow } = guest
  if (moveTo === undefined) return {}
  const reason = `it was asked to move to ${moveTo}`
  const others = [...state.hosts.keys()].filter((host) => host !== moveTo)
  const impossible = Object.fromEntries(others.map((host) => [host, reason]))
  const grant = state.grants.get(guest.id)?.value
  if ((moveHow !== 'live' && moveHow !== 'post-copy') || !grant) return impossible
  // It was asked when nothing spoke against it; a host whose agent has begun anew has not tried yet what it can.
  const unfit = unfitForLiveMove(state, grant.host, grant, guest.kind)[moveTo]
  return unfit === undefined ? impossible : { ...impossible, [moveTo]: unfit }
}

/** Hosts with current replicas of most of its disks. */
function nearHosts({ state, isUp }: ProblemQuestion, guest: Guest): HostId[] {
  const counts = new Map<HostId, number>()
  const accepted = guest.acceptDataLoss?.host
  const root = nativeRootOf(state, guest)?.value
  // There only what has changed since is to be sent.
  if (root && rootLeaves(state, isUp, guest, root))
    return (root.copies ?? []).flatMap(({ host, newest }) => (newest && isUp(host) ? [host] : []))
  for (const { value: volume } of volumesOf(state, guest) ?? []) {
    const hosts = new Set(inSync(volume).map((replica) => replica.host))
    if (accepted !== undefined && volume.replicas.some((replica) => replica.host === accepted)) hosts.add(accepted)
    for (const host of hosts) if (isUp(host)) counts.set(host, (counts.get(host) ?? 0) + 1)
  }
  const most = Math.max(0, ...counts.values())
  return [...counts].filter(([, count]) => count === most).map(([host]) => host)
}

/** Hosts on which it has used up its tries; on others it may be tried again. */
function triedHosts({ state, isUp }: ProblemQuestion, guest: Guest, grant: Grant | undefined): readonly HostId[] {
  const seen = state.observations.get(guest.id)?.value
  if (!seen || seen.failures === 0) return []
  const failedOn = seen.failedOn ?? (grant ? [grant.host] : [])
  const isLastTryThere = seen.failures % (haPolicyOf(guest).maxRestart + 1) !== 0
  if (isLastTryThere) return failedOn.filter((host) => host !== grant?.host)
  const left = [...state.hosts.values()].filter(
    ({ value: host }) => whyUnusable(state, isUp, host) === '' && !failedOn.includes(host.id),
  )
  // Where all have failed, what was tried longest ago may be better now than what has failed last.
  return left.length > 0 ? failedOn : failedOn.filter((host) => host === grant?.host)
}
