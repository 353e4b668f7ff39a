/** What the source of a live move writes about it when it is over. */
import { withoutHandover, type Grant, type Handover } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { StoreEntry } from '../ports/store.ts'
import type { HostContext } from './host-context.ts'

const RETRY_MS = 50

/**
 * Takes a hand-over that came to nothing out of the grant, and the user's wish with it; patient while the store is away.
 * `deposed`: this host does not hold the guest any more.
 */
export async function takeBackHandover(
  { store, self, clock }: HostContext,
  id: GuestId,
  epoch: number,
  reason: string,
): Promise<'recorded' | 'deposed'> {
  for (;;) {
    const [grantEntry, guestEntry] = await Promise.all([store.get(KEYS.grant(id)), store.get(KEYS.guest(id))])
    if (grantEntry.ok && guestEntry.ok) {
      const grant = grantEntry.value && versioned<Grant>(grantEntry.value)
      if (!grant || grant.value.host !== self || grant.value.state === 'released') return 'deposed'
      const { handover } = grant.value
      if (handover?.epoch !== epoch) return 'recorded'
      const guest = guestEntry.value && versioned<Guest>(guestEntry.value)
      const times = (grant.value.failedHandover?.times ?? 0) + 1
      const failed = { to: handover.to, reason, at: clock.wallMs(), times }
      const next: Grant = { ...withoutHandover(grant.value), failedHandover: failed }
      const settled = guest && guestAfterMove(guest.value, handover)
      const outcome = await store.transact({
        compares: [
          { key: KEYS.grant(id), modRevision: grant.revision },
          { key: KEYS.guest(id), modRevision: guest?.revision ?? 0n },
        ],
        writes: [
          { kind: 'put', key: KEYS.grant(id), value: JSON.stringify(next) },
          ...(guest && settled !== guest.value
            ? [{ kind: 'put' as const, key: KEYS.guest(id), value: JSON.stringify(settled) }]
            : []),
        ],
      })
      if (outcome.ok && outcome.value.committed) return 'recorded'
      if (outcome.ok) continue
    }
    await clock.sleep(RETRY_MS)
  }
}

/** A wish for this very move is over with it, whether it was fulfilled or not. */
export function guestAfterMove(guest: Guest, handover: Handover): Guest {
  if (guest.moveTo !== handover.to && guest.cancelledHandover === undefined) return guest
  const { moveTo, moveHow, cancelledHandover: _cancelled, ...rest } = guest
  const isOther = moveTo !== undefined && moveTo !== handover.to
  return isOther ? { ...rest, moveTo, ...(moveHow === undefined ? {} : { moveHow }) } : rest
}

export function versioned<T>(entry: StoreEntry): { readonly value: T; readonly revision: bigint } {
  return { value: JSON.parse(entry.value) as T, revision: entry.modRevision }
}
