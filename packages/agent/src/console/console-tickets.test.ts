import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Principal } from '@stead/core/model/access.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Result } from '@stead/core/result.ts'
import { ConsoleTickets, issuerOf, TICKET_LIFE_MS } from './console-tickets.ts'

const ROOT: Principal = { kind: 'root', host: 'h1' }
const [WEB, DB] = ['web' as GuestId, 'db' as GuestId]

function tickets() {
  let now = 0
  const clock: Clock = { monotonicMs: () => now, wallMs: () => 5_000 + now, sleep: async () => undefined }
  return { tickets: new ConsoleTickets('h1' as HostId, clock), pass: (ms: number) => (now += ms) }
}

function refusedBecause(result: Result<unknown>, reason: RegExp) {
  assert.ok(!result.ok)
  assert.equal(result.error.code, 'unauthorized')
  assert.match(result.error.message, reason)
}

describe('a ticket for a console', () => {
  it('opens its console once', () => {
    const { tickets: given } = tickets()
    const { ticket, expiresAt } = given.give(WEB, 'vnc', ROOT)
    assert.equal(expiresAt, 5_000 + TICKET_LIFE_MS)
    assert.equal(issuerOf(ticket), 'h1')
    assert.deepEqual(given.redeem(ticket, WEB, 'vnc'), { ok: true, value: ROOT })
    refusedBecause(given.redeem(ticket, WEB, 'vnc'), /used already/)
  })

  it('expires', () => {
    const { tickets: given, pass } = tickets()
    const { ticket } = given.give(WEB, 'vnc', ROOT)
    pass(TICKET_LIFE_MS)
    given.give(WEB, 'vnc', ROOT)
    refusedBecause(given.redeem(ticket, WEB, 'vnc'), /expired/)
  })

  it('opens no other console, neither of another guest nor of another kind, and is spent by the attempt', () => {
    const { tickets: given } = tickets()
    const [first, second] = [given.give(WEB, 'vnc', ROOT).ticket, given.give(WEB, 'vnc', ROOT).ticket]
    refusedBecause(given.redeem(first, DB, 'vnc'), /another console/)
    refusedBecause(given.redeem(first, WEB, 'vnc'), /used already/)
    refusedBecause(given.redeem(second, WEB, 'serial'), /another console/)
  })

  it('cannot be guessed, and too many push out the oldest', () => {
    const { tickets: given } = tickets()
    refusedBecause(given.redeem('h1.x', WEB, 'vnc'), /not known/)
    const first = given.give(WEB, 'vnc', ROOT).ticket
    assert.match(first, /^h1\.[\w-]{43}$/)
    const others = Array.from({ length: 1_000 }, () => given.give(WEB, 'vnc', ROOT).ticket)
    assert.equal(new Set(others).size, 1_000)
    refusedBecause(given.redeem(first, WEB, 'vnc'), /not known/)
    assert.ok(given.redeem(others[0] ?? '', WEB, 'vnc').ok)
  })
})
