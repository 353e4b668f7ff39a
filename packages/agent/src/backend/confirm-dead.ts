/**
 * `stead failover --confirm-dead HOST`: a person says what two hosts without a witness cannot know. Works without
 * the store's quorum, since that is just what is missing then.
 */
import { failure } from '@stead/core/errors.ts'
import type { Verdict } from '@stead/core/ha/coordinator.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { HostStatus } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { makeStoreAlone, type LoneStoreContext } from '../etcd/lone-store.ts'

export interface ConfirmDeadContext extends LoneStoreContext {
  readonly mirror: ClusterMirror
  readonly verdicts: () => ReadonlyMap<HostId, Verdict>
  readonly events: EventWriter
}

export async function confirmDead(context: ConfirmDeadContext, host: HostId): Promise<Result<void>> {
  const { config, store, mirror, clock } = context
  if (!config.members.some((member) => member.hostId === host))
    return fail(
      failure('not_found', `There is no host ${host}`, {
        hint: `The hosts are ${config.members.map((member) => member.hostId).join(', ')}`,
      }),
    )
  if (host === config.hostId)
    return fail(
      failure('conflict', `${host} is the host that answers you: it is alive`, { hint: 'Name the host that is dead' }),
    )
  if (context.verdicts().get(host) === 'heard')
    return fail(
      failure('conflict', `${host} is alive: its heartbeats arrive`, {
        hint: 'To take its guests off it, use `stead host drain`; to end it, switch it off first',
      }),
    )
  if (mirror.state.statuses.get(host)?.value.state === 'lost') return ok()
  const reachable = await store.get(KEYS.status(host))
  if (!reachable.ok) {
    const forced = await goOnAlone(context, host)
    if (!forced.ok) return forced
  }
  return recordLost(store, clock, host, mirror.state.hosts.get(host)?.value.bootId ?? '')
}

/** Makes a store of this host's member alone. Only where no other voter could exist that still decides. */
async function goOnAlone(context: ConfirmDeadContext, host: HostId): Promise<Result<void>> {
  const { config, verdicts } = context
  const others = config.etcdMembers.filter((id) => id !== config.hostId && id !== host)
  if (others.length > 0) {
    const silent = others.filter((id) => verdicts().get(id as HostId) !== 'heard')
    return fail(
      failure(
        'no_quorum',
        `The store has lost its majority: besides ${host}, ${silent.join(', ') || 'another voter'} is missing`,
        {
          hint: 'Bring one of them back. Only where all but one are lost for good: `stead cluster recover`, on that one',
        },
      ),
    )
  }
  return makeStoreAlone(context)
}

async function recordLost(store: Store, clock: Clock, host: HostId, bootId: string): Promise<Result<void>> {
  const status: HostStatus = {
    state: 'lost',
    bootId,
    since: clock.wallMs(),
    reason: 'an administrator confirmed that it is dead',
  }
  const outcome = await store.transact({
    compares: [],
    writes: [{ kind: 'put', key: KEYS.status(host), value: JSON.stringify(status) }],
  })
  return outcome.ok ? ok() : outcome
}
