/**
 * Tickets for consoles: who holds one may open one WebSocket, to one console of one guest, within half a minute. A
 * browser can send no header with a WebSocket, so the ticket in its address is what authenticates it; the request for
 * the ticket is authenticated as every other one. Tickets live in the memory of the host that gave them, whose name is
 * their first part: any host can ask it, and one that has fallen takes its unused tickets along.
 */
import { randomBytes } from 'node:crypto'
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import { failure } from '@stead/core/errors.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export const TICKET_LIFE_MS = 30_000
/** Nobody opens so many consoles in half a minute; the oldest makes room. */
const TICKETS_MAX = 1_000

interface Ticket {
  readonly guest: GuestId
  readonly kind: ConsoleKind
  readonly principal: Principal
  readonly expiresMs: number
}

export class ConsoleTickets {
  readonly #self: HostId
  readonly #clock: Clock
  /** In the order of giving, which is that of expiry. */
  readonly #open = new Map<string, Ticket>()

  constructor(self: HostId, clock: Clock) {
    this.#self = self
    this.#clock = clock
  }

  give(
    guest: GuestId,
    kind: ConsoleKind,
    principal: Principal,
  ): { readonly ticket: string; readonly expiresAt: number } {
    this.#forgetExpired()
    for (const oldest of this.#open.keys()) {
      if (this.#open.size < TICKETS_MAX) break
      this.#open.delete(oldest)
    }
    const ticket = `${this.#self}.${randomBytes(32).toString('base64url')}`
    this.#open.set(ticket, { guest, kind, principal, expiresMs: this.#clock.monotonicMs() + TICKET_LIFE_MS })
    return { ticket, expiresAt: this.#clock.wallMs() + TICKET_LIFE_MS }
  }

  /** Uses a ticket of this host up, fit or not; for whom it was. Fails with `unauthorized`. */
  redeem(ticket: string, guest: GuestId, kind: ConsoleKind): Result<Principal> {
    const found = this.#open.get(ticket)
    this.#open.delete(ticket)
    if (!found) return refused('The ticket is not known; it may have been used already')
    if (this.#clock.monotonicMs() >= found.expiresMs) return refused('The ticket has expired')
    if (found.guest !== guest || found.kind !== kind) return refused('The ticket is for another console')
    return ok(found.principal)
  }

  #forgetExpired(): void {
    const now = this.#clock.monotonicMs()
    for (const [ticket, { expiresMs }] of this.#open) {
      // A little longer than it is good, so that a late user hears the true reason.
      if (now < expiresMs + TICKET_LIFE_MS) return
      this.#open.delete(ticket)
    }
  }
}

/** The host that gave the ticket, by the ticket's own word. */
export function issuerOf(ticket: string): HostId {
  return ticket.slice(0, Math.max(0, ticket.indexOf('.'))) as HostId
}

export function refused(message: string): Result<never> {
  return fail(failure('unauthorized', message, { hint: 'Ask for a new ticket: POST /v1/guests/NAME/console' }))
}
