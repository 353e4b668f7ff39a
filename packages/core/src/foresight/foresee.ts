/**
 * "What if?": who goes down, for how long, what moves where and why, what has no place, what data is at risk. Answered
 * by the coordinator's own decision, asked again and again in a copy of the records, never by a second opinion of it.
 */
import type { Candidate, Decision } from '../model/decision.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { inSync, isActive } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { AdmissionBreach } from '../planning/admission.ts'
import { breachesMadeBy } from '../ha/loss-admission.ts'
import type { Figures } from './figures.ts'
import { SupposedCluster, type Happening } from './supposed-cluster.ts'
import { describeSupposition, hostsDown, isLegCut, list, type Supposition } from './supposition.ts'

export interface GuestForesight {
  readonly guest: GuestId
  readonly name: string
  readonly from: HostId | undefined
  /** Where it runs in the end; undefined: nowhere. */
  readonly to: HostId | undefined
  /** How long it does not run, ms, all interruptions together; undefined: it stays down. */
  readonly downMs: number | undefined
  readonly interruptions: number
  /** Why there, or why not at all. */
  readonly why: string
  readonly candidates: readonly Candidate[]
}

export interface DataForesight {
  readonly volume: VolumeId
  readonly guest: string
  /** Current copies that can be reached, before and after. */
  readonly copiesBefore: number
  readonly copiesAfter: number
  /** `last-copy`: one more failure stops the guest. `out-of-reach`: no current copy is left to run from. */
  readonly risk: 'last-copy' | 'out-of-reach'
  readonly text: string
}

export interface Foresight {
  readonly supposition: string
  /** In one sentence. */
  readonly summary: string
  /** False: too few voters of the store are left, and nothing is decided until one is back. */
  readonly canDecide: boolean
  /** Guests that are interrupted, moved or newly started, or that could not be. */
  readonly guests: readonly GuestForesight[]
  readonly data: readonly DataForesight[]
  /** What one more loss would mean that it does not mean today. */
  readonly breaches: readonly AdmissionBreach[]
  readonly timeline: readonly Happening[]
  readonly figures: Figures
}

export interface ForeseeOptions {
  readonly figures: Figures
  readonly wallMs: number
  /** How far to look, ms. */
  readonly horizonMs?: number
}

const HORIZON_MS = 3_600_000

export function foresee(before: ClusterState, supposition: Supposition, options: ForeseeOptions): Foresight {
  const { figures, wallMs, horizonMs = HORIZON_MS } = options
  const down = hostsDown(supposition, before)
  const cluster = new SupposedCluster(before, down, figures, wallMs)
  const wasRunning = new Set([...before.guests.keys()].filter((id) => runsIn(before, id)))
  cluster.tell(describeSupposition(supposition))
  for (const id of wasRunning) if (!cluster.runs(id)) cluster.interrupt(id)
  loseLegs(cluster, supposition, wasRunning)
  applyWish(cluster, supposition)
  if (down.size > 0) cluster.nowMs = figures.lossMs
  cluster.comeToRest(horizonMs)

  const guests = [...new Set([...before.guests.keys(), ...cluster.state.guests.keys()])].flatMap((id) =>
    guestForesight(before, cluster, id, wasRunning.has(id)),
  )
  const data = dataForesight(before, cluster.state, supposition, down)
  const isOnlineIn = (state: ClusterState) => (host: HostId) => state.statuses.get(host)?.value.state === 'online'
  const breaches = breachesMadeBy(before, cluster.state, isOnlineIn(before), isOnlineIn(cluster.state))
  return {
    supposition: describeSupposition(supposition),
    summary: summarize(guests, data, cluster.canDecide),
    canDecide: cluster.canDecide,
    guests,
    data,
    breaches,
    timeline: cluster.happenings,
    figures,
  }
}

/** Those that touch something, the worst first. */
export function worstFirst<One extends Foresight>(foresights: readonly One[]): One[] {
  return foresights.filter((one) => harmOf(one) > 0).toSorted((a, b) => harmOf(b) - harmOf(a))
}

/** Guests that stay down count most, then those that are interrupted, then data with one copy. */
function harmOf({ guests, data, canDecide }: Foresight): number {
  const stay = guests.filter((one) => one.to === undefined).length
  const interrupted = guests.filter((one) => one.interruptions > 0).length
  return (canDecide ? 0 : 1e9) + stay * 1e6 + interrupted * 1e3 + data.length
}

function runsIn(state: ClusterState, id: GuestId): boolean {
  const grant = state.grants.get(id)?.value
  const seen = state.observations.get(id)?.value
  return isActive(grant) && seen?.epoch === grant.epoch && seen.phase === 'running'
}

/** A guest goes on without a leg that is cut, after the loss is recorded; without any it stands still. */
function loseLegs(cluster: SupposedCluster, supposition: Supposition, running: ReadonlySet<GuestId>): void {
  if (supposition.kind !== 'network-down' && supposition.kind !== 'storage-down') return
  const { state } = cluster
  for (const { value: volume } of state.volumes.values()) {
    const grant = state.grants.get(volume.guest)?.value
    if (!isActive(grant) || !running.has(volume.guest)) continue
    const name = state.guests.get(volume.guest)?.value.name ?? volume.guest
    const current = inSync(volume)
    const cut = current.filter((replica) => isLegCut(supposition, state, grant.host, replica.host))
    if (cut.length === 0) continue
    if (cut.length === current.length) {
      cluster.tell(`${name} stands still: it reaches no current copy of its disk`)
      cluster.interrupt(volume.guest)
      continue
    }
    cluster.touch(volume.guest)
    for (const replica of cut) {
      cluster.loseReplica(volume, replica.host, describeSupposition(supposition))
      cluster.tell(`${name} goes on without its copy on ${replica.host}`)
    }
  }
}

function applyWish(cluster: SupposedCluster, supposition: Supposition): void {
  switch (supposition.kind) {
    case 'drain': {
      const wish = cluster.state.policies.get(supposition.host)?.value
      return cluster.put(KEYS.policy(supposition.host), { ...wish, maintenance: true })
    }
    case 'add-guest':
      return cluster.put(KEYS.guest(supposition.guest.id), supposition.guest)
    case 'set-rule':
      return cluster.put(KEYS.rule(supposition.rule.id), supposition.rule)
    case 'delete-rule':
      return cluster.write([{ kind: 'delete', key: KEYS.rule(supposition.rule) }])
    case 'change':
      cluster.write(supposition.writes)
      // How long disks take to be made is another question than where their guest will run.
      for (const { value: volume } of cluster.state.volumes.values())
        if (!volume.ready) cluster.put(KEYS.volume(volume.id), { ...volume, ready: true })
      return cluster.endUnwanted()
    default:
  }
}

function guestForesight(
  before: ClusterState,
  cluster: SupposedCluster,
  id: GuestId,
  ranBefore: boolean,
): GuestForesight[] {
  const guest: Guest | undefined = cluster.state.guests.get(id)?.value ?? before.guests.get(id)?.value
  if (!guest) return []
  const outage = cluster.outages.get(id)
  const stays = outage?.downSinceMs !== undefined || !cluster.state.guests.has(id)
  const runsNow = cluster.runs(id) && !stays
  const from = ranBefore ? before.grants.get(id)?.value.host : undefined
  const to = runsNow ? cluster.state.grants.get(id)?.value.host : undefined
  const decision = cluster.state.decisions.get(id)?.value
  const isNewWait = decision?.action === 'wait' && decision !== before.decisions.get(id)?.value
  if (from === to && !outage && !isNewWait) return []
  if (!ranBefore && !runsNow && !isNewWait) return []
  return [
    {
      guest: id,
      name: guest.name,
      from,
      to,
      downMs: runsNow ? (outage?.downMs ?? 0) : undefined,
      interruptions: outage?.interruptions ?? 0,
      why: whyThere(guest, decision, from, to, cluster),
      candidates: decision?.candidates ?? [],
    },
  ]
}

function whyThere(
  guest: Guest,
  decision: Decision | undefined,
  from: HostId | undefined,
  to: HostId | undefined,
  cluster: SupposedCluster,
): string {
  if (to !== undefined && from === to) return 'it goes on where it is'
  const isMovedLive = from !== undefined && cluster.outages.get(guest.id)?.interruptions === 0
  if (to !== undefined && isMovedLive) return cluster.state.grants.get(guest.id)?.value.reason ?? ''
  if (to !== undefined) {
    const chosen = decision?.candidates.find((candidate) => candidate.chosen)
    return chosen?.merits.join('; ') ?? `it runs on ${to}`
  }
  if (guest.desired === 'stopped') return 'it was asked to stop'
  if (guest.ha === 'ignored') return 'HA ignores it: somebody has to start it'
  if (!cluster.canDecide) return 'too few voters of the store are left to decide anything'
  if (decision?.action !== 'wait') return 'it reaches none of its disks until the failure is mended'
  if (decision.waitsFor !== 'room' || decision.candidates.length === 0) return decision.outcome
  return `${decision.outcome}: ${decision.candidates.map((one) => `${one.host}: ${one.rejectedBecause}`).join('; ')}`
}

function dataForesight(
  before: ClusterState,
  after: ClusterState,
  supposition: Supposition,
  down: ReadonlySet<HostId>,
): DataForesight[] {
  const isStorageUp = (host: HostId) => supposition.kind !== 'storage-down' || supposition.host !== host
  const isUp = (state: ClusterState, host: HostId) => state.statuses.get(host)?.value.state === 'online'
  const copies = (volume: Volume | undefined, isReachable: (host: HostId) => boolean) =>
    volume === undefined ? 0 : inSync(volume).filter((replica) => isReachable(replica.host)).length
  return [...before.volumes.values()].flatMap(({ value: volume }): DataForesight[] => {
    const guest = before.guests.get(volume.guest)?.value.name ?? volume.guest
    const copiesBefore = copies(volume, (host) => isUp(before, host))
    const copiesAfter = copies(
      after.volumes.get(volume.id)?.value,
      (host) => isUp(after, host) && !down.has(host) && isStorageUp(host),
    )
    if (copiesAfter >= copiesBefore || copiesAfter > 1 || !after.volumes.has(volume.id)) return []
    const risk = copiesAfter === 0 ? 'out-of-reach' : 'last-copy'
    const holder = inSync(after.volumes.get(volume.id)!.value).map((replica) => replica.host)
    const text =
      risk === 'last-copy'
        ? `${guest} runs from one copy, on ${list(holder.filter((host) => !down.has(host) && isStorageUp(host)))}`
        : `no current copy of ${guest}'s disk can be reached; it is on ${list(holder)}`
    return [{ volume: volume.id, guest, copiesBefore, copiesAfter, risk, text }]
  })
}

function summarize(guests: readonly GuestForesight[], data: readonly DataForesight[], canDecide: boolean): string {
  const interrupted = guests.filter((one) => one.from !== undefined && one.interruptions > 0)
  const lost = guests.filter((one) => one.to === undefined)
  const back = interrupted.filter((one) => one.to !== undefined)
  const parts: string[] = []
  if (!canDecide) parts.push('nothing can be decided until more voters of the store are back')
  if (back.length > 0) {
    const longestMs = Math.max(...back.map((one) => one.downMs ?? 0))
    parts.push(`${count(back.length, 'guest')} down for up to ${seconds(longestMs)}`)
  }
  if (lost.length > 0) parts.push(`${count(lost.length, 'guest')} without a host: ${list(lost.map((one) => one.name))}`)
  const atRisk = data.filter((one) => one.risk === 'last-copy')
  if (atRisk.length > 0) parts.push(`${count(atRisk.length, 'disk')} left with one copy`)
  const started = guests.filter((one) => one.from === undefined && one.to !== undefined)
  if (started.length > 0) parts.push(`${count(started.length, 'guest')} started`)
  const moved = guests.filter(
    (one) => one.from !== one.to && one.from !== undefined && one.to !== undefined && one.interruptions === 0,
  )
  if (moved.length > 0) parts.push(`${count(moved.length, 'guest')} moved without a break`)
  return parts.length === 0 ? 'no guest is touched' : parts.join('; ')
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
