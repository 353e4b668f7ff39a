/**
 * Which replicas may serve a new run, and what the record must say of the others before the run's first write.
 * This is the heart of "never lose an acknowledged write, never let two copies drift apart unseen".
 */
import { assert } from '../assert.ts'
import type { Grant } from '../model/grant.ts'
import type { HostId } from '../model/ids.ts'
import { inSync, withReplica } from '../model/records.ts'
import type { Staleness, Volume } from '../model/volume.ts'
import { newestCopies, withRootFromCopy } from './root-copies.ts'

export type ServingPlan =
  /** The volume's record as it must be written with the grant, and who serves then. */
  | {
      readonly kind: 'serve'
      readonly volume: Volume
      readonly serving: readonly HostId[]
      readonly facts: readonly string[]
      /** Of a native root that is started from a copy: what is left of it on its host, as a volume of its own. */
      readonly aside?: Volume
    }
  | { readonly kind: 'wait'; readonly forHosts: readonly HostId[]; readonly staleCopies: readonly StaleCopy[] }

export interface StaleCopy {
  readonly host: HostId
  readonly sinceEpoch: number
  readonly since: number
}

/**
 * `previous` is the last grant (undefined for a first start). After an unclean end the in-sync replicas may differ
 * in writes that were never acknowledged; one becomes the source, the others follow it (DESIGN, "Changed blocks").
 */
export function planServing(
  volume: Volume,
  previous: Grant | undefined,
  usable: (host: HostId) => boolean,
  preferredSource: HostId | undefined,
  nowMs: number,
  acceptLossOf?: HostId,
): ServingPlan {
  const current = inSync(volume)
  const available = current.filter((replica) => usable(replica.host))
  const sinceEpoch = previous?.epoch ?? 0
  if (available.length === 0) {
    const ofRoot = newestCopies(volume, usable).flatMap(({ host, newest }) =>
      newest ? [{ host, sinceEpoch: newest.epoch, since: newest.at }] : [],
    )
    const replicas = volume.replicas
      .filter((replica) => replica.state !== 'in-sync' && replica.incoming === undefined && usable(replica.host))
      .map((replica) => ({
        host: replica.host,
        sinceEpoch: replica.stale?.sinceEpoch ?? 0,
        since: replica.stale?.since ?? 0,
      }))
    const copies = [...ofRoot, ...replicas].toSorted((a, b) => b.sinceEpoch - a.sinceEpoch || b.since - a.since)
    if (acceptLossOf === undefined || !copies.some((copy) => copy.host === acceptLossOf))
      return { kind: 'wait', forHosts: current.map((replica) => replica.host), staleCopies: copies }
    return ofRoot.some((copy) => copy.host === acceptLossOf)
      ? serveCopy(volume, acceptLossOf, sinceEpoch, nowMs)
      : serveStale(volume, acceptLossOf, sinceEpoch, nowMs)
  }
  const wasClean = previous === undefined || (previous.state === 'released' && previous.clean)
  const source = available.find((replica) => replica.host === preferredSource) ?? available[0]!
  const facts: string[] = []
  let planned = volume
  for (const replica of current) {
    if (replica === source) continue
    const stale = whyNotServing(replica.host, usable(replica.host), wasClean, sinceEpoch, nowMs)
    if (!stale) continue
    facts.push(`the replica on ${replica.host} does not serve: ${stale.reason}`)
    planned = withReplica(planned, replica.host, (old) => ({ ...old, state: 'stale', stale }))
  }
  for (const replica of planned.replicas) {
    const { stale: known } = replica
    if (known && !wasClean)
      planned = withReplica(planned, replica.host, (old) => ({ ...old, stale: afterUncleanEnd(known) }))
    if (replica.state !== 'syncing') continue
    // It may already have been a leg of the guest without the record saying so: after an unclean end it may hold
    // writes that no source has, and nobody's bitmap tells which.
    const old = replica.stale ?? {
      sinceEpoch,
      since: nowMs,
      reason: 'its resync was interrupted',
      cause: 'unknown' as const,
    }
    const stale = wasClean ? old : { ...old, cause: 'unknown' as const }
    planned = withReplica(planned, replica.host, (found) => ({ ...found, state: 'stale', stale }))
  }
  return { kind: 'serve', volume: planned, serving: inSync(planned).map((replica) => replica.host), facts }
}

/**
 * The volume after a run whose host is lost, when no next run says it: replicas on hosts that are down may lack what
 * their disks had acknowledged and not flushed, and must not be a source once their host is back. Without a current
 * replica elsewhere nothing is known to be better, and the record stays.
 */
export function withoutLostReplicas(
  volume: Volume,
  sinceEpoch: number,
  usable: (host: HostId) => boolean,
  nowMs: number,
): Volume {
  const current = inSync(volume)
  if (!current.some((replica) => usable(replica.host))) return volume
  return current
    .filter((replica) => !usable(replica.host))
    .reduce((planned, { host }) => {
      const stale: Staleness = { sinceEpoch, since: nowMs, reason: `${host} is down`, cause: 'unknown' }
      return withReplica(planned, host, (replica) => ({ ...replica, state: 'stale', stale }))
    }, volume)
}

/**
 * What is known of a replica that lost its leg in a run that then ended without its last flush. The writes that were in
 * flight when the leg was dropped were to be written again elsewhere; if the run ended before that, only this replica
 * may have them, and no bitmap of the source names them.
 */
export function afterUncleanEnd(stale: Staleness): Staleness {
  return stale.cause === 'leg-lost' ? { ...stale, cause: 'run-lost' } : stale
}

function whyNotServing(
  host: HostId,
  isUsable: boolean,
  wasClean: boolean,
  sinceEpoch: number,
  nowMs: number,
): Staleness | undefined {
  if (!isUsable) {
    const cause = wasClean ? 'leg-lost' : 'unknown'
    return { sinceEpoch, since: nowMs, reason: `${host} is down`, cause }
  }
  if (wasClean) return undefined
  return { sinceEpoch, since: nowMs, reason: 'the last run ended with writes in flight', cause: 'run-lost' }
}

function serveCopy(volume: Volume, host: HostId, epoch: number, nowMs: number): ServingPlan {
  const started = withRootFromCopy(volume, host, epoch)
  assert(started, `volume ${volume.id} has no whole copy on ${host}`)
  const at = newestCopies(volume, (each) => each === host)[0]?.newest?.at ?? nowMs
  const age = Math.max(0, Math.round((nowMs - at) / 1000))
  const facts = [
    `the copy of its root on ${host}, of ${new Date(at).toISOString()} and so ${age} s old, was taken for the root`,
  ]
  return { kind: 'serve', volume: started.volume, serving: [host], facts, aside: started.aside }
}

function serveStale(volume: Volume, host: HostId, sinceEpoch: number, nowMs: number): ServingPlan {
  const stale: Staleness = {
    sinceEpoch,
    since: nowMs,
    reason: `its newer data was given up for the copy on ${host}`,
    cause: 'unknown',
  }
  const replicas = volume.replicas.map((replica) =>
    replica.host === host
      ? { host: replica.host, pool: replica.pool, state: 'in-sync' as const }
      : { ...replica, state: 'stale' as const, stale },
  )
  return {
    kind: 'serve',
    volume: { ...volume, replicas },
    serving: [host],
    facts: [`the stale copy on ${host} was accepted as the current one`],
  }
}
