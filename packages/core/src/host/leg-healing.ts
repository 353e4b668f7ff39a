/**
 * After an agent's crash the block graph of a guest and the records of its disks may be one step apart. The record's word
 * counts.
 */
import type { HostId } from '../model/ids.ts'
import { inSync } from '../model/records.ts'
import type { RunningGuest } from '../ports/guest-host.ts'
import { ok } from '../result.ts'
import type { DiskKeeper } from './disk-keeper.ts'
import type { HostContext } from './host-context.ts'
import type { RunRecords } from './run-records.ts'

/** Returns why the guest cannot go on, when it cannot. */
export async function healLegs(
  { mirror, clock }: Pick<HostContext, 'mirror' | 'clock'>,
  { records, disks }: { readonly records: RunRecords; readonly disks: DiskKeeper },
  epoch: number,
  found: RunningGuest,
): Promise<string | undefined> {
  let broken: string | undefined
  for (const [volumeId, legs] of found.legs) {
    const volume = mirror.state.volumes.get(volumeId)?.value
    if (!volume) continue
    // Only a disk that an earlier agent was about to open anew has no legs at all; it needs them before anything else.
    // As the store has it: this host's copy may not know yet that another file has taken a replica's place.
    const held = legs.length === 0 ? await records.changeVolume(volumeId, (record) => record) : undefined
    const grown = held?.kind === 'recorded' ? await disks.grow(held.value) : ok()
    if (!grown.ok) broken ??= `its disk could not be opened anew: ${grown.error.message}`
    if (legs.length === 0) continue
    const current = new Set<string>(inSync(volume).map((replica) => replica.host))
    for (const host of legs)
      // Twice: an agent died while it put one connection in another one's place.
      if (!current.has(host) || legs.indexOf(host) !== legs.lastIndexOf(host))
        await disks.dropUnrecorded(volumeId, host as HostId, 'it was not recorded as current when the agent restarted')
    for (const host of current) {
      if (legs.includes(host)) continue
      // A leg is only ever dropped after it was recorded stale; this can only be a record that was rolled back.
      await records.markStale(volumeId, host as HostId, {
        sinceEpoch: epoch,
        since: clock.wallMs(),
        reason: 'the guest ran without it',
        cause: 'unknown',
      })
    }
  }
  return broken
}
