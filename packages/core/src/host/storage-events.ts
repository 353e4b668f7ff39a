/** What is told of replicas, in the same words whoever tells it: a guest's host or a storage host. */
import type { EventDraft } from '../ha/plan.ts'
import type { NetworkRole } from '../model/host.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import type { RootCopy } from '../model/root-copy.ts'
import type { ReplicaMove, Volume } from '../model/volume.ts'
import { replicaOn } from '../model/records.ts'
import type { ResyncReport } from './resync.ts'

export function exportRevoked(volume: VolumeId, host: HostId, exportName: string): EventDraft {
  return {
    kind: 'export.revoked',
    subject: `volume/${volume}`,
    message: `${host} no longer serves ${exportName}`,
    details: { host, export: exportName },
  }
}

export function replicaStale(volume: VolumeId, host: HostId, reason: string): EventDraft {
  const message = `the replica on ${host} is stale: ${reason}`
  return { kind: 'replica.stale', subject: `volume/${volume}`, message, details: { host } }
}

/** A guest reaches a replica by another network than before; `isDirect`: by the one for storage again. */
export function legMoved(
  volume: VolumeId,
  moved: {
    /** The guest's name. */
    readonly name: string
    readonly host: string
    readonly network: NetworkRole
    readonly isDirect: boolean
    readonly reason: string
    readonly pauseMs: number
  },
): EventDraft {
  const { name, host, network, isDirect, reason, pauseMs } = moved
  return {
    kind: isDirect ? 'leg.direct' : 'leg.redirected',
    subject: `volume/${volume}`,
    message: `${name} reaches its replica on ${host} by the ${network.toUpperCase()} ${isDirect ? 'again' : 'now'}: ${reason}`,
    details: { host, network, pauseMs },
  }
}

/** `replica` names it in a sentence: "the replica of web1 on h2". `stood` says what the guest did meanwhile. */
export function resyncFinished(
  volume: VolumeId,
  host: HostId,
  replica: string,
  stood: string,
  { copiedBytes, passes, pauseMs, compared }: ResyncReport,
): readonly EventDraft[] {
  const subject = `volume/${volume}`
  return [
    {
      kind: 'resync.finished',
      subject,
      message: `${copiedBytes} bytes in ${passes} passes${compared ? ', after comparing all blocks' : ''}; ${stood}`,
      details: { host, copiedBytes, passes, pauseMs, compared },
    },
    { kind: 'replica.in-sync', subject, message: `${replica} is in sync`, details: { host } },
  ]
}

/** `guest`: its name. */
export function moveFinished(volume: Volume, move: ReplicaMove, guest: string): EventDraft {
  const { to, from, leaving } = move
  const isWithin = to !== undefined && to === from
  const pools = isWithin && leaving ? [`${to}/${replicaOn(volume, to)?.pool}`, `${leaving.host}/${leaving.pool}`] : []
  const [there = to, before = from] = pools
  const what =
    to === undefined
      ? `no replica on ${from} any more`
      : `a replica on ${there}${from ? ` instead of ${before}` : ' too'}`
  return {
    kind: 'replica.moved',
    subject: `volume/${volume.id}`,
    message: `${volume.name} of ${guest} has ${what}`,
    details: { ...(to ? { to } : {}), ...(from ? { from } : {}) },
  }
}

/** `guest`: its name. */
export function rootCopyLate({ id }: Volume, guest: string, { host, newest, trouble }: RootCopy): EventDraft {
  const age = newest ? `shows it as it was at ${new Date(newest.at).toISOString()}` : 'was never made'
  return {
    kind: 'root-copy.late',
    subject: `volume/${id}`,
    message: `the copy of the root of ${guest} on ${host} ${age}${trouble ? `: ${trouble.message}` : ''}`,
    details: { host },
  }
}

export function rootCopyCurrent({ id }: Volume, guest: string, host: HostId): EventDraft {
  const message = `the copy of the root of ${guest} on ${host} follows it again`
  return { kind: 'root-copy.current', subject: `volume/${id}`, message, details: { host } }
}

export function moveUndone(volume: Volume, guest: string, reason: string): EventDraft {
  return {
    kind: 'replica.move-failed',
    subject: `volume/${volume.id}`,
    message: `${volume.name} of ${guest} stays where it is: ${reason}`,
  }
}
