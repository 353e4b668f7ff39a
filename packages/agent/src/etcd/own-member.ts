/** This host's member of the store, as its part in replacing the authority needs it. */
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { OwnStoreMember } from '../membership/follow-authority.ts'
import type { Companion } from '../process/companion.ts'
import { EtcdStore } from '../store/etcd-store.ts'
import type { EtcdMemberHost } from './etcd-member.ts'

const SERVES_MS = 20_000
const AGAIN_MS = 200

export function ownStoreMember(member: EtcdMemberHost, etcd: Companion, clock: Clock, log: Log): OwnStoreMember {
  const serves = async () => {
    const own = new EtcdStore({ endpoints: [member.ownEndpoint], totalTimeoutMs: 1_000, clock, log })
    // Linearizable: it has found its leader again.
    const found = await own.get(KEYS.settings)
    await own.close()
    return found.ok
  }
  return {
    trusts: () => member.trusts(),
    restart: async () => {
      log.info('the member of the store starts again with what this host now believes')
      await etcd.kill()
      etcd.look()
      const deadline = clock.monotonicMs() + SERVES_MS
      while (!(await serves()) && clock.monotonicMs() < deadline) await clock.sleep(AGAIN_MS)
    },
  }
}
