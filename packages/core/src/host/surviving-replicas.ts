/**
 * After a run that ended with its host: which replica has all that the guest was told is written? A host that has lost
 * its power has also lost what its disks had acknowledged and not flushed; another one that held a leg has it all, also
 * when its storage daemon was killed.
 */
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { inSync, replicaOn } from '../model/records.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { HostContext } from './host-context.ts'
import { exportNameOf } from './disk-keeper.ts'
import { RunRecords } from './run-records.ts'

const RETRY_MS = 100
/** Longer than it takes to find out that a host is lost. */
const ASK_MS_MAX = 10_000

/**
 * Calls this host's replicas stale where it may have lost something of the run and another current one has not: the
 * coordinator would prefer the local one as source of the next run. Where all may have, nothing is known to be better.
 */
export async function yieldToSurvivors(context: HostContext, guest: Guest, grant: Grant): Promise<void> {
  const { self, clock } = context
  const records = new RunRecords(context, guest.id, grant.epoch)
  for (const id of guest.volumes) {
    const volume = await currentRecord(context, id)
    if (!volume) continue
    const own = replicaOn(volume, self)
    if (own?.state !== 'in-sync' || (await ask(context, volume, own, grant.epoch)) === 'kept') continue
    const others = inSync(volume).filter((replica) => replica !== own)
    if (!(await hasAnyKept(context, volume, others, grant))) continue
    await records.markStale(volume.id, self, {
      sinceEpoch: grant.epoch,
      since: clock.wallMs(),
      reason: `${self} was restarted while the guest ran`,
      cause: 'unknown',
    })
  }
}

/**
 * As the store has it, not as this host's copy does: that may lag behind, and not yet know of a replica that became
 * current shortly before. Patient while the store is away: nothing can be decided before.
 */
async function currentRecord({ store, clock }: HostContext, id: VolumeId): Promise<Volume | undefined> {
  for (;;) {
    const entry = await store.get(KEYS.volume(id))
    if (entry.ok) return entry.value && (JSON.parse(entry.value.value) as Volume)
    await clock.sleep(RETRY_MS)
  }
}

/**
 * A host that cannot be asked may have all that the guest was told is written: it is asked again until it answers, or
 * until the cluster holds it to be lost too. Then two failures have come together, and the guest need not wait longer.
 * One that others hear and this host does not, for as long as it takes to find out, counts as a survivor: if it is none,
 * its replica is no worse than the own one. One whose storage daemon stands still is asked as long: it is killed and
 * started again meanwhile.
 */
async function hasAnyKept(
  context: HostContext,
  volume: Volume,
  others: readonly Replica[],
  grant: Grant,
): Promise<boolean> {
  const { mirror, clock } = context
  const startedMs = clock.monotonicMs()
  for (;;) {
    const isLost = ({ host }: Replica) => mirror.state.statuses.get(host)?.value.state === 'lost'
    const asked = others.filter((replica) => !isLost(replica))
    const words = await Promise.all(asked.map((replica) => ask(context, volume, replica, grant.epoch)))
    if (words.includes('kept')) return true
    const isOver = (mirror.state.grants.get(grant.guest)?.value.epoch ?? 0) !== grant.epoch
    if (words.every((word) => word === 'not kept') || isOver) return false
    if (clock.monotonicMs() - startedMs > ASK_MS_MAX) return words.includes('unreachable')
    await clock.sleep(RETRY_MS)
  }
}

/**
 * Whether all is there that the replica was sent. A daemon keeps exports and bitmaps in memory: one that still has the
 * run's export, or the sync point's bitmap, has not been restarted since. (A leg that joined while another replica was
 * stale has a bitmap of another name.) Of one that was restarted the host must have kept its power, and no data of the run
 * may have been in the daemon's memory alone.
 */
async function ask(
  { volumesOn }: HostContext,
  volume: Volume,
  { host, pool }: Replica,
  epoch: number,
): Promise<'kept' | 'not kept' | 'unreachable' | 'failing'> {
  const info = await volumesOn(host).inspect(volume.id, pool)
  if (!info.ok) {
    const { code } = info.error
    return code === 'host_unreachable' ? 'unreachable' : code === 'not_found' ? 'not kept' : 'failing'
  }
  const { exports, bitmaps, keptEpochs = [] } = info.value
  const hasLived =
    exports.includes(exportNameOf(volume.id, epoch)) || bitmaps.some((bitmap) => bitmap.name === volume.syncPoint)
  return hasLived || keptEpochs.includes(epoch) ? 'kept' : 'not kept'
}
