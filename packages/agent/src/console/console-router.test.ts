import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import { principalName, type Principal } from '@stead/core/model/access.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { realClock } from '../real-clock.ts'
import { ConsoleRouter } from './console-router.ts'
import { ConsoleTickets } from './console-tickets.ts'
import type { GuestConsoles } from './guest-consoles.ts'

const ROOT: Principal = { kind: 'root', host: 'h1' }
const WEB = { id: 'web' as GuestId, name: 'web1', desired: 'running', display: 'vga' } as Guest
const BARE = { id: 'bare' as GuestId, name: 'bare1', desired: 'stopped' } as Guest

/** Two hosts that call each other; both guests run on h2 unless they are granted elsewhere. */
function cluster() {
  const opened: string[] = []
  const typed: string[] = []
  const grants = new Map<GuestId, { value: Grant; revision: bigint }>()
  const permitted = new Set(['root@h1', 'alice'])
  const listeners = new Set<(state: ClusterState) => void>()
  const state = {
    guests: new Map([WEB, BARE].map((guest) => [guest.id, { value: guest, revision: 1n }])),
    hosts: new Map([['h1'], ['h2']].map(([host]) => [host, {}])),
    grants,
  } as unknown as ClusterState
  const grant = (guest: Guest, host: string, epoch: number, held: 'held' | 'released' = 'held') => {
    const value = { guest: guest.id, host: host as HostId, epoch, state: held } as Grant
    grants.set(guest.id, { value, revision: 1n })
    for (const listener of listeners) listener(state)
  }
  const routers = new Map<string, ConsoleRouter>()
  const call = (table: object, name: string, input: unknown) =>
    (table as Record<string, (input: unknown) => Promise<Result<never>>>)[name]?.(input)
  for (const self of ['h1', 'h2'] as HostId[]) {
    const here = {
      open: async (guest: GuestId, kind: string) => {
        opened.push(`${kind} of ${guest} on ${self}`)
        return ok(new PassThrough())
      },
      type: async (_guest: GuestId, chords: readonly (readonly string[])[], key: string) => {
        typed.push(`${key} on ${self}: ${chords.map((chord) => chord.join('+')).join(' ')}`)
        return ok()
      },
    } as unknown as GuestConsoles
    const client = (host: HostId) => {
      const other = routers.get(host)
      assert.ok(other, `${self} calls ${host}`)
      return {
        callGuest: (name: string, input: unknown) => call(other.calls, name, input),
        pipe: (name: string, input: unknown) => call(other.pipes, name, input),
        stream: (name: string, input: unknown) => call(other.streams, name, input),
      } as never
    }
    const mirror = {
      state,
      onChange: (listener: (state: ClusterState) => void) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    } as never
    const tickets = new ConsoleTickets(self, realClock)
    routers.set(
      self,
      new ConsoleRouter({
        self,
        mirror,
        client,
        here,
        tickets,
        mayUse: (principal) => permitted.has(principalName(principal)),
      }),
    )
  }
  const forbid = (name: string) => {
    permitted.delete(name)
    for (const listener of listeners) listener({ ...state, permissions: new Map() })
  }
  grant(WEB, 'h2', 3)
  return {
    forbid,
    h1: routers.get('h1') as ConsoleRouter,
    h2: routers.get('h2') as ConsoleRouter,
    grant,
    opened,
    typed,
  }
}

function ticketFor(router: ConsoleRouter, guest = WEB): string {
  const given = router.ticket(guest, 'serial', ROOT)
  assert.ok(given.ok, given.ok ? '' : given.error.message)
  return given.value.ticket
}
const serial = (ticket: string, guest = 'web1') => ({ guest, kind: 'serial' as const, ticket })
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code)

describe("a guest's console through any host", () => {
  it('is opened where the guest runs, with a ticket of either host, once', async () => {
    const { h1, h2, opened } = cluster()
    const [first, second] = [ticketFor(h1), ticketFor(h2)]
    assert.equal(codeOf(await h1.connect(serial(first))), 'ok')
    assert.equal(codeOf(await h1.connect(serial(second, WEB.id))), 'ok')
    assert.deepEqual(opened, ['serial of web on h2', 'serial of web on h2'])
    for (const ticket of [first, second])
      for (const router of [h1, h2]) assert.equal(codeOf(await router.connect(serial(ticket))), 'unauthorized')
  })

  it('is refused for tickets of nobody, and for guests that do not exist, in the same words', async () => {
    const { h1, opened } = cluster()
    for (const request of [serial('h9.x'), serial(''), serial('x'), serial(ticketFor(h1), 'nobody')])
      assert.equal(codeOf(await h1.connect(request)), 'unauthorized')
    assert.deepEqual(opened, [])
  })

  it('has no ticket for a guest that does not run, nor for a screen that is not there', () => {
    const { h1, grant } = cluster()
    assert.equal(codeOf(h1.ticket(BARE, 'serial', ROOT)), 'conflict')
    grant(BARE, 'h1', 1)
    assert.equal(codeOf(h1.ticket(BARE, 'serial', ROOT)), 'ok')
    assert.equal(codeOf(h1.ticket(BARE, 'vnc', ROOT)), 'conflict')
    assert.equal(codeOf(h1.ticket(WEB, 'vnc', ROOT)), 'ok')
    grant(WEB, 'h2', 3, 'released')
    assert.equal(codeOf(h1.ticket(WEB, 'vnc', ROOT)), 'conflict')
  })

  it('ends when who opened it may use it no more, and a ticket that is left does not open it again', async () => {
    const { h1, h2, forbid } = cluster()
    const ticket = () => {
      const given = h1.ticket(WEB, 'serial', { kind: 'user', name: 'alice' })
      assert.ok(given.ok)
      return given.value.ticket
    }
    const left = ticket()
    const opened = await h2.connect(serial(ticket()))
    const ofRoot = await h2.connect(serial(ticketFor(h1)))
    assert.ok(opened.ok && ofRoot.ok)
    assert.equal(opened.value.taken.aborted, false)
    forbid('alice')
    assert.deepEqual([opened.value.taken.aborted, ofRoot.value.taken.aborted], [true, false])
    assert.equal(codeOf(await h2.connect(serial(left))), 'unauthorized')
  })

  it('is no shell of a virtual machine, whose ticket for something else opens none', async () => {
    const { h1, opened } = cluster()
    const refusal = h1.ticket(WEB, 'shell', ROOT)
    assert.equal(codeOf(refusal), 'conflict')
    assert.match(refusal.ok ? '' : refusal.error.message, /web1 is a virtual machine/)
    assert.equal(codeOf(await h1.connect({ guest: 'web1', kind: 'shell', ticket: ticketFor(h1) })), 'unauthorized')
    assert.deepEqual(opened, [])
  })

  it('is told once when the guest has another run, and by name where', async () => {
    const { h1, grant } = cluster()
    const opened = await h1.connect(serial(ticketFor(h1)))
    assert.ok(opened.ok)
    const told: string[] = []
    opened.value.onMoved((reason) => told.push(reason))
    grant(WEB, 'h2', 3)
    assert.equal(told.length, 0, 'nothing has changed')
    grant(WEB, 'h1', 4)
    grant(WEB, 'h2', 5)
    assert.deepEqual(told, ['web1 runs on h1 now'])

    const late = await h1.connect(serial(ticketFor(h1)))
    assert.ok(late.ok)
    grant(WEB, 'h1', 6)
    late.value.onMoved((reason) => told.push(reason))
    await nextTurn()
    assert.equal(told.length, 2, 'it had moved before anybody listened')
  })

  it('is typed into where the guest runs, under the key that was given', async () => {
    const { h1, typed } = cluster()
    const pasted = await h1.paste(WEB, 'Hi', 'us', 'key')
    assert.deepEqual(pasted, ok(2))
    assert.equal(codeOf(await h1.paste(WEB, 'ż', 'us', 'key')), 'bad_request')
    assert.deepEqual(typed, ['key on h2: shift+h i'])
  })
})
