/**
 * Gives a leg of a running guest another way to the same replica, with the replica in sync all the time. Who calls has
 * paused the guest and keeps all other surgery away. Why nothing can be lost by it is in docs/internals/mirror.md.
 */
import { failure, type Failure } from '../errors.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { replicaOn } from '../model/records.ts'
import type { Leg } from '../ports/guest-host.ts'
import { fail, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { answeringPaths, serverOf, type LegPath } from './leg-paths.ts'

/** How long the replica's host may take to renew its export. The guest stands still for it. */
const SERVE_MS_MAX = 3_000

export interface LegExchange {
  readonly guest: GuestId
  readonly volume: VolumeId
  readonly epoch: number
  readonly host: HostId
  readonly exportName: string
  /** The ways to try, the best one first. */
  readonly paths: readonly LegPath[]
}

export type Exchanged =
  | { readonly kind: 'exchanged'; readonly leg: Leg; readonly path: LegPath }
  /** Nothing was done: the old leg is as it was. */
  | { readonly kind: 'untouched'; readonly error: Failure }
  /** The old leg is dead for good, and there is no new one. */
  | { readonly kind: 'broken'; readonly error: Failure }

export async function exchangeLeg(context: HostContext, exchange: LegExchange): Promise<Exchanged> {
  const { guest, volume, epoch, host, exportName } = exchange
  const record = context.mirror.state.volumes.get(volume)?.value
  const pool = record && replicaOn(record, host)?.pool
  const paths = await answeringPaths(context, host, exchange.paths)
  if (pool === undefined || paths.length === 0)
    return { kind: 'untouched', error: failure('host_unreachable', `${host} is not reached by another network`) }
  // From here on the old connection is over, whether or not an answer comes.
  const served = await withinServing(
    context,
    host,
    context.volumesOn(host, paths[0]?.network).serveAnew({ volume, pool, epoch }),
  )
  if (!served.ok) return { kind: 'broken', error: served.error }
  let error = failure('host_unreachable', `No way to ${host} was tried`)
  for (const path of paths) {
    const { endpoint } = path
    // Of what serves it now: it may have got a gate since the leg was opened.
    const leg: Leg = { host, endpoint: { ...endpoint, ...serverOf(served.value) }, exportName, local: false }
    const replaced = await context.guests.replaceLeg(guest, volume, leg)
    if (replaced.ok) return { kind: 'exchanged', leg, path }
    error = replaced.error
  }
  return { kind: 'broken', error }
}

/** The answer of a host that renews an export, or the failure to give it in time. */
export async function withinServing<T>(
  { clock }: HostContext,
  host: HostId,
  answer: Promise<Result<T>>,
): Promise<Result<T>> {
  const late = clock
    .sleep(SERVE_MS_MAX)
    .then(() => fail(failure('host_unreachable', `${host} does not answer within ${SERVE_MS_MAX} ms`)))
  return Promise.race([answer, late])
}
