/** Whether somebody may (still) use the consoles of a guest: asked again and again while one is open. */
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import { decide } from '@stead/core/access/decide.ts'
import { guestPath } from '@stead/core/access/object-path.ts'
import { sessionEndedBecause } from '@stead/core/access/session.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { accessRecordsOf } from './access-records.ts'
import type { GuardContext } from './guarded-backend.ts'

export function mayUseConsole({ mirror, clock }: Pick<GuardContext, 'mirror' | 'clock'>) {
  return (principal: Principal, guest: GuestId, kind: ConsoleKind): boolean => {
    const { state } = mirror
    if (principal.kind === 'root') return true
    if (sessionEndedBecause(state, principal, clock.wallMs()) !== undefined) return false
    const privilege = kind === 'shell' ? 'guest.execute' : 'guest.console'
    const record = state.guests.get(guest)?.value
    if (!record) return false
    return decide(accessRecordsOf(state), principal, privilege, guestPath(record), clock.wallMs()).allowed
  }
}
