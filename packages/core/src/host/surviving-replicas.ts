/**
 * After a run that ended with its host: which replica has all that the guest was told is written? A host that has lost
 * its power has also lost what its disks had acknowledged and not flushed; another one that held a leg has it all.
 */
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import { inSync, replicaOn, volumesOf } from '../model/records.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { HostContext } from './host-context.ts'
import { RunRecords } from './run-records.ts'

/**
 * Calls this host's replicas stale where its storage daemon has not lived through the run and another current one's
 * has: the coordinator would prefer the local one as source of the next run. Where nobody's daemon has, nothing is
 * known to be better, and the guest need not wait for another host.
 */
export async function yieldToSurvivors(context: HostContext, guest: Guest, grant: Grant): Promise<void> {
  const { self, mirror, clock } = context
  const records = new RunRecords(context, guest.id, grant.epoch)
  for (const { value: volume } of volumesOf(mirror.state, guest) ?? []) {
    const own = replicaOn(volume, self)
    if (own?.state !== 'in-sync' || (await hasLivedThrough(context, volume, own))) continue
    const others = inSync(volume).filter((replica) => replica !== own)
    const survived = await Promise.all(others.map((replica) => hasLivedThrough(context, volume, replica)))
    if (!survived.includes(true)) continue
    await records.markStale(volume.id, self, {
      sinceEpoch: grant.epoch,
      since: clock.wallMs(),
      reason: `${self} was restarted while the guest ran`,
      cause: 'unknown',
    })
  }
}

/** A daemon keeps its bitmaps in memory: one that has the sync point's has run since then. */
async function hasLivedThrough({ volumesOn }: HostContext, volume: Volume, { host, pool }: Replica): Promise<boolean> {
  const info = await volumesOn(host).inspect(volume.id, pool)
  return info.ok && info.value.bitmaps.some((bitmap) => bitmap.name === volume.syncPoint)
}
