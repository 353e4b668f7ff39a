/**
 * The rest of a guest's memory after a switch to post-copy: the guest runs on one host and is whole only with what the
 * other one still sends. docs/internals/migration.md tells what becomes of it when one of them, or the way, is lost.
 */
import { migrationPolicyOf } from '../ha/planning-problem.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Grant, Handover } from '../model/grant.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import type { MemoryState, SentGuest } from '../ports/guest-migration.ts'
import { fail, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

const RETRY_MS = 500
/** A guest that stands still for want of its memory is of no use to anybody; it boots again after so long. */
const INTERRUPTED_MS_MAX = 20_000

/** Source: connects anew as often as the way is lost, for as long as the grant says that the guest needs what is here. */
export async function sendRest(
  context: HostContext,
  guest: GuestId,
  epoch: number,
  sent: Result<SentGuest>,
): Promise<Result<SentGuest>> {
  const { migration, mirror, arrivalsOn, clock, log, self } = context
  let now = sent
  while (now.ok && now.value.phase === 'interrupted') {
    const grant = mirror.state.grants.get(guest)?.value
    if (!isRestOn(grant, self, epoch)) return fail({ ...LOST, cause: now.value.error })
    const listening = await arrivalsOn(grant.host).receiveRest(guest, epoch)
    const resumed = listening.ok ? await migration.resume(guest, listening.value) : listening
    if (resumed.ok) log.info('the rest of a guest goes on', { guest, to: grant.host })
    else await clock.sleep(RETRY_MS)
    now = await migration.awaitSent(guest)
  }
  return now
}

/** Destination: `undefined` once all of it is here; else why it never will be. */
export async function awaitRest(
  { migration, clock, mirror }: HostContext,
  guest: GuestId,
  onChange: (now: 'coming' | 'interrupted') => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  let isInterrupted = false
  for (;;) {
    const waiting = new AbortController()
    const either = AbortSignal.any([signal, waiting.signal])
    const late = clock.sleep(INTERRUPTED_MS_MAX, either).then(() => 'late' as const)
    const coming = migration.awaitMemory(guest, isInterrupted ? 'interrupted' : 'coming', either)
    const found: Result<MemoryState> | 'late' = await (isInterrupted ? Promise.race([coming, late]) : coming)
    waiting.abort()
    if (signal.aborted) return undefined
    const from = mirror.state.grants.get(guest)?.value.memoryOn
    if (found === 'late') return `the rest of its memory, on ${from}, could not be reached`
    if (!found.ok) return found.error.message
    if (found.value === 'here') return undefined
    isInterrupted = found.value === 'interrupted'
    onChange(found.value)
  }
}

/** By the cluster's policy, or since it was asked for of this move. */
export function mayPostCopy(state: ClusterState, handover: Handover | undefined): boolean {
  return handover?.postCopy === true || migrationPolicyOf(state).postCopy
}

/** The guest runs elsewhere by this grant, and needs what this host has of it. */
export function isRestOn(grant: Grant | undefined, host: HostId, epoch: number): grant is Grant {
  return grant?.memoryOn === host && grant.epoch === epoch && grant.state !== 'released'
}

const LOST = { code: 'conflict', message: 'The guest ended before all of it was there' } as const
