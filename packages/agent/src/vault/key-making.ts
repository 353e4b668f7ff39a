/**
 * Makes the keys of the secrets, and gives the members what they keep of them. Whoever dies in the middle leaves a key
 * that counts: the old one before the transaction, the new one, with which the old one opens, after it.
 */
import { randomBytes } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { keepingOf, SHARES_NEEDED, type Vault as VaultRecord } from '@stead/core/model/vault.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { MEMBERSHIP_KEY, type Membership } from '../membership/membership.ts'
import type { Held } from './held-shares.ts'
import { checkOf, KeyRing } from './key-ring.ts'
import { randomLine, shareFor, type KeyLine } from './key-shares.ts'
import { KEEP_CALL } from './vault-calls.ts'
import type { VaultContext } from './vault-context.ts'
import { placeOfKey } from './vault.ts'

/** A host that was away for longer lets itself be invited anew. */
const RETIRED_MAX = 100

const CHANGED = failure('changed_meanwhile', 'The members, the coordinator or the key changed meanwhile')

/** `removal`: whoever is gone must not open what comes; it does not wait for members that are down. */
export type KeyDue = 'first' | 'removal' | 'keeping'

export function isNewKeyDue(record: VaultRecord | undefined, { members, revoked }: Membership): KeyDue | undefined {
  if (!record) return 'first'
  const gone = record.holders.some((holder) => !members.some(({ hostId }) => hostId === holder))
  if (gone || revoked.length !== record.revokedCount) return 'removal'
  return keepingOf(members.length) === record.keeping ? undefined : 'keeping'
}

export interface KeyWanted {
  readonly record: Versioned<VaultRecord> | undefined
  readonly membership: Membership
  readonly membershipRevision: bigint
  readonly due: KeyDue
}

/** The value is the new key's id. `host_unreachable`: some have written a share of one that does not come to count. */
export async function makeKey(context: VaultContext, wanted: KeyWanted): Promise<Result<string>> {
  const { vault, mirror } = context
  const { record, membership, due } = wanted
  // The older keys go with the new one: who has them not makes none.
  if (record && !vault.ring) return fail(CHANGED)
  const keeping = keepingOf(membership.members.length)
  const keepers = keepersOf(keeping, membership)
  const down = keepers.filter((host) => host !== context.self && !isOnline(context, host))
  if (down.length > 0 && due !== 'removal')
    return fail(failure('conflict', `Every member must have its share first: ${down.join(', ')} is not up`))
  const generation = (record?.value.generation ?? 0) + 1
  const [line, keyId] = [randomLine(), randomBytes(16).toString('hex')]
  const up = keepers.filter((host) => !down.includes(host))
  const given = await giveTo(context, up, { generation, keyId, keeping, line })
  const missing = up.filter((host) => !given.includes(host))
  if (missing.length > 0)
    return fail(failure('host_unreachable', `${missing.join(', ')} did not take a share of the key`))
  const needed = keeping === 'shares' ? SHARES_NEEDED : 1
  if (given.length < needed) return fail(failure('host_unreachable', `Only ${given.join(', ')} can have a share`))
  const ring = new KeyRing(generation, line.key)
  const retired = (vault.ring?.all() ?? [])
    .slice(-RETIRED_MAX)
    .map(([old, key]) => ({ generation: old, sealedKey: ring.seal(key.toString('hex'), placeOfKey(old)) }))
  const next: VaultRecord = {
    ...{ generation, keyId, check: checkOf(line.key), keeping, holders: given, retired },
    revokedCount: membership.revoked.length,
  }
  const outcome = await context.store.transact({
    compares: [
      { key: KEYS.vault, modRevision: record?.revision ?? 0n },
      { key: MEMBERSHIP_KEY, modRevision: wanted.membershipRevision },
      { key: KEYS.coordinator, modRevision: mirror.state.coordinator?.revision ?? 0n },
    ],
    writes: [{ kind: 'put', key: KEYS.vault, value: JSON.stringify(next) }],
  })
  if (!outcome.ok) return outcome
  if (!outcome.value.committed) return fail(CHANGED)
  vault.take(next, line)
  return ok(keyId)
}

/** To members that were not up, or have come, since the key was made. */
export async function giveShares(
  context: VaultContext,
  { value: record, revision }: Versioned<VaultRecord>,
  membership: Membership,
): Promise<void> {
  const { vault, store } = context
  const { line } = vault
  if (!line || vault.ring?.generation !== record.generation) return
  const lacking = keepersOf(record.keeping, membership).filter(
    (host) => !record.holders.includes(host) && (host === context.self || isOnline(context, host)),
  )
  if (lacking.length === 0) return
  const given = await giveTo(context, lacking, { ...record, line })
  if (given.length === 0) return
  const next: VaultRecord = { ...record, holders: [...record.holders, ...given] }
  // Refused: somebody else has just done it, or there is another key.
  await store.transact({
    compares: [{ key: KEYS.vault, modRevision: revision }],
    writes: [{ kind: 'put', key: KEYS.vault, value: JSON.stringify(next) }],
  })
}

/** The key itself only lies where it is used; a share of it helps a witness nothing. */
function keepersOf(keeping: VaultRecord['keeping'], { members }: Membership): HostId[] {
  const able = members.filter(({ role }) => keeping === 'shares' || role === 'compute')
  return able.map(({ hostId }) => hostId as HostId)
}

interface Giving extends Pick<VaultRecord, 'generation' | 'keyId' | 'keeping'> {
  readonly line: KeyLine
}

/** Who has it on his disk then. */
async function giveTo(
  { self, held, ask }: VaultContext,
  hosts: readonly HostId[],
  { generation, keyId, keeping, line }: Giving,
): Promise<HostId[]> {
  const taken = await Promise.all(
    hosts.map(async (host) => {
      const value = keeping === 'shares' ? shareFor(host, line).value : line.key
      const kind = keeping === 'shares' ? 'share' : 'key'
      const mine: Held = { generation, keyId, kind, value: value.toString('hex') }
      if (host !== self) return (await ask(host, KEEP_CALL, mine)).ok
      held.keep(mine)
      return true
    }),
  )
  return hosts.filter((_, index) => taken[index])
}

function isOnline({ mirror }: VaultContext, host: HostId): boolean {
  return mirror.state.statuses.get(host)?.value.state === 'online'
}
