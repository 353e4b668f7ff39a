/** What a user's word about a container's native root changes: where it is, and whether a copy follows it. */
import { failure } from '@stead/core/errors.ts'
import { copyOn, homeOf, plannedCopy, withRootMove } from '@stead/core/ha/root-copies.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isActive, nativeRootOf } from '@stead/core/model/records.ts'
import type { RootCopyPolicy } from '@stead/core/model/root-copy.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Compare, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'
import { keptPolicy, type AskedCopy } from './native-root-plan.ts'

interface Asker {
  readonly isUp: (host: HostId) => boolean
  readonly nowMs: number
}

/** The guest's root is sent to the host while the guest runs, which then starts there; undefined: it is no native one, or there. */
export function rootMoveChange(
  state: ClusterState,
  { value: guest, revision }: Versioned<Guest>,
  to: HostId,
  { isUp, nowMs }: Asker,
): Result<Change> | undefined {
  const root = nativeRootOf(state, guest)
  if (!root || homeOf(root.value) === to) return undefined
  const moving = withRootMove(state, root.value, to, isUp, nowMs)
  if (!moving.ok) return moving
  const runs = guest.desired === 'running' || isActive(state.grants.get(guest.id)?.value)
  const next: Guest = { ...guest, preferredHost: to, ...(runs ? { moveTo: to, moveHow: 'restart' } : {}) }
  return ok({
    kind: runs ? 'vm.relocate' : 'volume.move',
    subject: runs ? `guest/${guest.id}` : `volume/${root.value.id}`,
    compares: [{ key: KEYS.guest(guest.id), modRevision: revision }, ...untouched(root, moving.value, to)],
    writes: [put(KEYS.guest(guest.id), next), put(KEYS.volume(root.value.id), moving.value)],
    events: [
      {
        kind: 'replica.moving',
        subject: `volume/${root.value.id}`,
        message: `the root of ${guest.name} is to move from ${homeOf(root.value)} to ${to}`,
      },
    ],
  })
}

/** The policy as it is kept, and what else is written with it; its room is promised from then on. */
export function rootCopyChange(
  state: ClusterState,
  guest: Guest,
  asked: AskedCopy,
  { isUp, nowMs }: Asker,
): Result<{
  readonly policy: RootCopyPolicy
  readonly writes: readonly Write[]
  readonly compares: readonly Compare[]
}> {
  const root = nativeRootOf(state, guest)
  if (!root)
    return fail(
      failure('conflict', `${guest.name} has no native root, which alone is followed by a copy`, {
        hint: 'Its disks are mirrored between hosts: `stead volume move`',
      }),
    )
  const policy = keptPolicy(asked)
  // One that was named before may have become the root's own meanwhile.
  if (policy.to !== undefined && policy.to === homeOf(root.value) && policy.to !== guest.rootCopy?.to)
    return fail(failure('conflict', `The root itself is on ${policy.to}`, { hint: 'Name another host, or none' }))
  const copy = plannedCopy(state, root.value, policy, isUp, nowMs)
  if (!copy.ok) return copy
  if (copyOn(root.value, copy.value.host)) return ok({ policy, writes: [], compares: [] })
  const volume: Volume = { ...root.value, copies: [...(root.value.copies ?? []), copy.value] }
  return ok({
    policy,
    writes: [put(KEYS.volume(volume.id), volume)],
    compares: untouched(root, volume, copy.value.host),
  })
}

/** Nothing of it is still being removed where it is to be. */
function untouched(root: Versioned<Volume>, next: Volume, to: HostId): Compare[] {
  const pool = copyOn(next, to)?.pool ?? ''
  return [
    { key: KEYS.volume(next.id), modRevision: root.revision },
    { key: KEYS.removal(to, next.id, pool), modRevision: 0n },
  ]
}

function put(key: string, value: object): Write {
  return { kind: 'put', key, value: JSON.stringify(value) }
}
