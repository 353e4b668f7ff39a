/** How much of its memory a guest uses, asked on the host where it runs, for `vm show` at any host. */
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { GuestMemoryUse } from '@stead/core/ports/guest-hardware.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { Peers } from '../peers.ts'
import type { Desk } from './desk.ts'

/** Undefined where nobody can tell: it does not run, has no balloon, or its driver says nothing. */
export type AskMemoryUse = (guest: Guest) => Promise<Result<GuestMemoryUse | undefined>>

/** How long `vm show` waits for it. */
const SHOW_MS = 700
const CALL = 'guest-memory'

export async function memoryUseForShow({ context }: Desk, guest: Guest): Promise<GuestMemoryUse | null> {
  if (guest.memoryMaxBytes === undefined) return null
  const told = await Promise.race([context.memoryUseOf(guest), context.clock.sleep(SHOW_MS)])
  return (told?.ok ? told.value : undefined) ?? null
}

export function askMemoryUse({ mirror, self, guests }: HostContext, peers: Peers): AskMemoryUse {
  return async (guest) => {
    const grant = mirror.state.grants.get(guest.id)?.value
    if (!isActive(grant)) return ok(undefined)
    if (grant.host === self) return guests.memoryUse(guest.id)
    const answer = await peers.client(grant.host).callGuest(CALL, { guest: guest.id }, SHOW_MS)
    return answer as Result<GuestMemoryUse | undefined>
  }
}

/** What other hosts may ask of this one. */
export function memoryUseCalls({
  guests,
}: HostContext): Readonly<Record<string, (input: unknown) => Promise<Result<unknown>>>> {
  return { [CALL]: (input) => guests.memoryUse((input as { guest: GuestId }).guest) }
}
