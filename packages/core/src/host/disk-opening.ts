/**
 * Opens a guest's disks for a new run: asks each current replica's host to serve it at the new epoch, which at the
 * same time takes it away from every older run.
 */
import { failure, type Failure } from '../errors.ts'
import type { Grant } from '../model/grant.ts'
import type { HostId } from '../model/ids.ts'
import { inSync } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { GuestDisk, Leg } from '../ports/guest-host.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { legEndpoint } from './leg-paths.ts'
import type { RunRecords } from './run-records.ts'
import { exportRevoked, replicaStale } from './storage-events.ts'

/**
 * One place more than there are replicas, held open by a filler: a replica that is made while the guest runs takes it
 * before the one leaves whose place it takes (docs/internals/storage-move.md).
 */
export function widthOf(volume: Volume): number {
  if (volume.form === 'subvolume') return 1
  return volume.replicas.length + 1
}

export async function openDisk(
  context: HostContext,
  grant: Grant,
  volume: Volume,
  records: RunRecords,
): Promise<Result<GuestDisk>> {
  const { self, events, clock } = context
  const replicas = inSync(volume).toSorted((a, b) => Number(b.host === self) - Number(a.host === self))
  // Before a bitmap is begun anew: if this run comes to nothing, the next one finds it and takes it for the whole history.
  if (await lacksHistory(context, volume)) {
    const doubted = await doubtAll(records, volume)
    if (doubted.kind === 'deposed') return fail(grantLost())
  }
  const answers = await Promise.all(
    replicas.map(async (replica) => ({
      replica,
      answer: await context.volumesOn(replica.host).exportToGuest({
        volume: volume.id,
        pool: replica.pool,
        epoch: grant.epoch,
        syncPoint: volume.syncPoint,
        rejoining: false,
        sizeBytes: volume.sizeBytes,
      }),
    })),
  )
  const legs: Leg[] = []
  const failures: { readonly host: HostId; readonly error: Failure }[] = []
  let historyLost = false
  for (const { replica, answer } of answers) {
    if (!answer.ok) {
      failures.push({ host: replica.host, error: answer.error })
      continue
    }
    const { value: address } = answer
    if (address.folder !== undefined && replica.host !== self) {
      failures.push({ host: replica.host, error: notOfThisHost(volume, replica.host) })
      continue
    }
    legs.push({
      host: replica.host,
      endpoint: await legEndpoint(context, replica.host, address),
      exportName: address.exportName,
      ...(address.folder === undefined ? {} : { folder: address.folder }),
      local: replica.host === self,
    })
    historyLost ||= address.bitmapIsNew
    events.tell(...address.revoked.map((name) => exportRevoked(volume.id, replica.host, name)))
  }
  const superseded = failures.find(({ error }) => error.code === 'stale_epoch')
  if (superseded) return fail(superseded.error)
  if (legs.length === 0) return fail(failures[0]!.error)
  for (const { host, error } of failures) {
    const reason = `${host} does not serve it: ${error.message}`
    const recorded = await records.markStale(volume.id, host, {
      sinceEpoch: grant.epoch,
      since: clock.wallMs(),
      reason,
      cause: 'leg-lost',
    })
    if (recorded.kind === 'deposed') return fail(grantLost())
    events.tell(replicaStale(volume.id, host, reason))
  }
  // A survivor whose bitmap begins only now cannot tell what the stale replicas missed before.
  if (historyLost) {
    const recorded = await doubtAll(records, volume)
    if (recorded.kind === 'deposed') return fail(grantLost())
  }
  const { id, sizeBytes, role } = volume
  return ok({ volume: id, sizeBytes, legs, width: widthOf(volume), ...(role === undefined ? {} : { role }) })
}

/** Whether a current replica that can be asked has no bitmap of what the stale ones have missed. */
async function lacksHistory({ volumesOn }: HostContext, volume: Volume): Promise<boolean> {
  if (!volume.replicas.some(({ stale }) => stale)) return false
  const infos = await Promise.all(inSync(volume).map(({ host, pool }) => volumesOn(host).inspect(volume.id, pool)))
  return infos.some((info) => info.ok && !info.value.bitmaps.some(({ name }) => name === volume.syncPoint))
}

/** Nobody can tell any more what the stale replicas have missed: all of their blocks are to be compared. */
function doubtAll(records: RunRecords, volume: Volume) {
  return records.changeVolume(volume.id, (record) => ({
    ...record,
    replicas: record.replicas.map((replica) =>
      replica.stale ? { ...replica, stale: { ...replica.stale, cause: 'unknown' as const } } : replica,
    ),
  }))
}

function notOfThisHost({ name }: Volume, host: HostId): Failure {
  return failure('storage', `${name} is a subvolume of ${host}, which only its own containers can use`)
}

function grantLost(): Failure {
  return { code: 'stale_epoch', message: 'The grant was given to another host' }
}
