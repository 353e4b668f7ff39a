import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { admission } from './admission.ts'
import { aGuest, aHost, apart, aProblem, GIB, onHosts } from './planning-fixture.ts'

const HOSTS = ['h1', 'h2', 'h3'].map((id) => aHost(id))

describe('admission', () => {
  it('holds while each host can be lost and all guests still have a place', () => {
    const guests = ['h1', 'h2', 'h3'].map((at) => aGuest(`on-${at}`, { at, memoryBytes: 8 * GIB }))
    assert.deepEqual(admission(aProblem(HOSTS, guests), { hostFailures: 1 }), {
      ok: true,
      breaches: [],
      checked: 3,
      possible: 3,
    })
  })

  it('packs for real: enough memory in all is not enough', () => {
    const guests = [
      aGuest('g7', { at: 'h2', memoryBytes: 16 * GIB }),
      aGuest('a', { at: 'h1', memoryBytes: 4 * GIB }),
      aGuest('b', { at: 'h3', memoryBytes: 4 * GIB }),
    ]
    const { ok, breaches } = admission(aProblem(HOSTS, guests), { hostFailures: 1 })
    assert.equal(ok, false)
    assert.deepEqual(breaches, [
      {
        lost: ['h2'],
        unplaced: [{ guest: 'g7', reason: 'no host has 16384 MiB of memory free; h1 has most, 12288 MiB' }],
        text: 'if h2 died now, g7 (16 GiB) would have no place',
      },
    ])
  })

  it('asks only for the guests that must go on', () => {
    const guests = [
      aGuest('test', { at: 'h2', memoryBytes: 16 * GIB }),
      aGuest('a', { at: 'h1' }),
      aGuest('b', { at: 'h3' }),
    ]
    const isProtected = ({ name }: { name: string }) => name !== 'test'
    assert.equal(admission(aProblem(HOSTS, guests), { hostFailures: 1, isProtected }).ok, true)
  })

  it('counts rules as well as room', () => {
    const guests = ['h1', 'h2', 'h3'].map((at) => aGuest(`web-${at}`, { at, memoryBytes: GIB }))
    const apartAll = apart(
      'x',
      guests.map(({ name }) => name),
    )
    const { breaches } = admission(aProblem(HOSTS, guests, [apartAll]), { hostFailures: 1 })
    assert.equal(breaches.length, 3)
    const pinned = aProblem(HOSTS, guests, [onHosts('pin', ['web-h1'], ['h1'], true)])
    assert.deepEqual(
      admission(pinned, { hostFailures: 1 }).breaches[0]?.unplaced[0]?.reason,
      'h2: rule pin allows web-h1 only on h1; h3: rule pin allows web-h1 only on h1',
    )
  })

  it('loses several at a time when asked to', () => {
    const guests = ['h1', 'h2', 'h3'].map((at) => aGuest(`on-${at}`, { at, memoryBytes: 6 * GIB }))
    const { breaches, checked } = admission(aProblem(HOSTS, guests), { hostFailures: 2 })
    assert.equal(checked, 3)
    assert.equal(breaches.length, 3)
    assert.deepEqual(breaches[0]?.lost, ['h1', 'h2'])
  })

  it('combines only the fullest hosts when there are too many combinations, and says so', () => {
    const hosts = Array.from({ length: 60 }, (_, index) => aHost(`h${index}`))
    const guests = hosts.map(({ id }) => aGuest(`on-${id}`, { at: id, memoryBytes: GIB }))
    const { ok, checked, possible } = admission(aProblem(hosts, guests), { hostFailures: 2 })
    assert.deepEqual({ ok, possible }, { ok: true, possible: 1770 })
    assert.ok(checked > 400 && checked <= 500)
  })

  it('does not blame a loss for a guest that has no place even now', () => {
    const guests = [aGuest('huge', { memoryBytes: 99 * GIB }), aGuest('a', { at: 'h1' })]
    assert.equal(admission(aProblem(HOSTS, guests), { hostFailures: 1 }).ok, true)
  })

  it('is broken by the loss of the only host', () => {
    const { breaches } = admission(aProblem([aHost('h1')], [aGuest('a', { at: 'h1' })]), { hostFailures: 1 })
    assert.deepEqual(breaches[0]?.unplaced, [{ guest: 'a', reason: 'no host can be used' }])
  })
})
