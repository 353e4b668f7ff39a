/** Makes a store of this host's member alone, from its own copy of the records: only a person may decide that. */
import { failure } from '@stead/core/errors.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import type { Companion } from '../process/companion.ts'
import type { EtcdMemberHost } from './etcd-member.ts'

const STORE_RETURNS_MS = 20_000
const AGAIN_MS = 200

export interface LoneStoreContext {
  readonly config: AgentConfig
  readonly store: Store
  readonly member: EtcdMemberHost
  readonly etcd: Companion
  readonly clock: Clock
}

export async function makeStoreAlone(context: LoneStoreContext): Promise<Result<void>> {
  context.member.goAlone()
  return restartStore(context)
}

/** Ends the member, which is started again by itself, and waits until the store answers. */
export async function restartStore({ etcd, store, clock, config }: LoneStoreContext): Promise<Result<void>> {
  // In order: what it has agreed to must be in its data.
  await etcd.end()
  etcd.look()
  const deadline = clock.monotonicMs() + STORE_RETURNS_MS
  while (clock.monotonicMs() < deadline) {
    await clock.sleep(AGAIN_MS)
    if ((await store.get(KEYS.settings)).ok) return ok()
  }
  return fail(
    failure('no_quorum', 'The store did not come back', {
      hint: `See etcd's log in the state folder of ${config.hostId}`,
    }),
  )
}
