import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Companion } from '../process/companion.ts'
import type { EtcdMemberHost } from './etcd-member.ts'

const POLL_MS = 5_000

/** A member that joined again is made a voter; one that the others have left behind joins again. */
export async function watchMembership(
  member: EtcdMemberHost,
  etcd: Companion,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (member.endpoints().length < 2) return
  let strange = 0
  while (!signal.aborted) {
    await clock.sleep(POLL_MS, signal)
    strange = (await member.standing()) === 'stranger' ? strange + 1 : 0
    if (strange < 3) continue
    log.warn('the other members of the store do not know this one; it joins again')
    strange = 0
    await etcd.kill()
  }
}
