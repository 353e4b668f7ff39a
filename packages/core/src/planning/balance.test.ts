import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { GuestId, HostId } from '../model/ids.ts'
import { balance } from './balance.ts'
import { brokenRulesIn, overfullHostsIn } from './brute-force-fixture.ts'
import { aGuest, aHost, apart, aProblem, banned, GIB, onHosts, together } from './planning-fixture.ts'

const [H1, H2, H3] = [aHost('h1'), aHost('h2'), aHost('h3')]
const at = (host: string, ...names: string[]) => names.map((name) => aGuest(name, { at: host }))

describe('balancing', () => {
  it('moves few guests, each with what it gains, what it costs and why', () => {
    const { moves, scoreBefore, scoreAfter } = balance(aProblem([H1, H2], at('h1', 'a', 'b', 'c', 'd')))
    assert.equal(moves.length, 2)
    for (const { from, to, gain, cost } of moves) {
      assert.deepEqual([from, to], ['h1', 'h2'])
      assert.ok(gain > 0)
      assert.deepEqual(cost, { bytes: 4 * GIB, seconds: 4 })
    }
    assert.equal(moves[0]?.why, 'h1 has 100 % of its memory taken, h2 0 %')
    assert.ok(Math.abs(scoreBefore - scoreAfter - (moves[0]!.gain + moves[1]!.gain)) < 1e-9)
    assert.equal(scoreAfter, 0)
  })

  it('leaves hosts alone that are even enough', () => {
    assert.deepEqual(balance(aProblem([H1, H2], [...at('h1', 'a'), ...at('h2', 'b')])).moves, [])
    const nearly = aProblem([H1, H2], [...at('h1', 'a', 'b'), ...at('h2', 'c')])
    assert.deepEqual(balance(nearly, { gainMin: 0.5 }).moves, [])
  })

  it('moves no more guests than it may', () => {
    assert.equal(balance(aProblem([H1, H2], at('h1', 'a', 'b', 'c', 'd')), { movesMax: 1 }).moves.length, 1)
    const rules = [together('t', ['a', 'b', 'c', 'd'])]
    const pair = aProblem([H1, H2, H3], [...at('h1', 'a', 'b', 'c', 'd')], rules)
    assert.deepEqual(balance(pair, { movesMax: 1 }).moves, [], 'nor a part of a group')
  })

  it('moves the guest that is cheaper to move, and none whose memory changes too fast', () => {
    const busy = aGuest('busy', { at: 'h1', dirtyBytesPerSecond: GIB / 2 })
    const { moves } = balance(aProblem([H1, H2], [busy, ...at('h1', 'calm')]))
    assert.deepEqual(
      moves.map(({ guest }) => guest),
      ['calm'],
    )
    const wild = aGuest('wild', { at: 'h1', dirtyBytesPerSecond: 2 * GIB })
    assert.deepEqual(balance(aProblem([H1, H2], [wild, aGuest('fixed', { at: 'h1', movable: false })])).moves, [])
  })

  it('spoils no wish that is fulfilled', () => {
    const problem = aProblem([H1, H2], at('h1', 'a', 'b'), [onHosts('home', ['a'], ['h1'])])
    assert.deepEqual(
      balance(problem).moves.map(({ guest }) => guest),
      ['b'],
    )
  })

  it('first moves what a strict rule does not allow where it is, even if that gains nothing', () => {
    const problem = aProblem(
      [H1, H2],
      [...at('h1', 'a'), ...at('h2', 'b')],
      [apart('x', ['a', 'b']), banned('b', ['a'], ['h1'])],
    )
    assert.deepEqual(balance(problem).moves, [], 'there is no host for it')
    const [move, ...others] = balance({ ...problem, hosts: [H1, H2, H3] }, { rulesOnly: true }).moves
    assert.deepEqual(others, [])
    assert.deepEqual([move?.guest, move?.to], ['a', 'h3'])
    assert.equal(move?.why, 'it may not stay on h1: rule b keeps a off it')
  })

  it('brings a scattered group together, the smaller part to the bigger', () => {
    const problem = aProblem([H1, H2], [...at('h1', 'a', 'b'), ...at('h2', 'c')], [together('t', ['a', 'b', 'c'])])
    const { moves } = balance(problem, { rulesOnly: true })
    assert.deepEqual(
      moves.map(({ guest, to }) => [guest, to]),
      [['c', 'h1']],
    )
  })

  it('exchanges guests where hosts are full of the wrong kind', () => {
    const hosts = [aHost('h1', { memoryBytes: 9 * GIB, cpus: 9 }), aHost('h2', { memoryBytes: 9 * GIB, cpus: 9 })]
    const kinds = [
      { memoryBytes: 4 * GIB, cpus: 1 },
      { memoryBytes: GIB, cpus: 4 },
    ]
    const guests = kinds.flatMap((kind, index) =>
      [1, 2].map((n) => aGuest(`g${index}${n}`, { at: `h${index + 1}`, ...kind })),
    )
    const { moves, scoreAfter } = balance(aProblem(hosts, guests))
    assert.equal(moves.length, 2)
    assert.ok(scoreAfter < 1e-6)
  })
})

describe('any balancing', () => {
  it('has room and keeps the rules at every step, and evens out the hosts', () => {
    const names = Array.from({ length: 16 }, (_, index) => `g${index}`)
    const guests = fc.tuple(
      ...names.map((name) =>
        fc
          .record({
            gib: fc.integer({ min: 1, max: 4 }),
            cpus: fc.integer({ min: 1, max: 3 }),
            on: fc.integer({ min: 1, max: 4 }),
          })
          .map(({ gib, cpus, on }) => aGuest(name, { memoryBytes: gib * GIB, cpus, at: `h${on}` })),
      ),
    )
    const some = fc.uniqueArray(fc.constantFrom(...names), { minLength: 2, maxLength: 3 })
    fc.assert(
      fc.property(guests, some, some, fc.nat(12), (placed, pair, separate, movesMax) => {
        const hosts = [1, 2, 3, 4, 5].map((index) => aHost(`h${index}`, { memoryBytes: 20 * GIB, cpus: 20 }))
        const problem = aProblem(hosts, placed, [together('t', pair), apart('x', separate)])
        const places = new Map(placed.map(({ id, at: host }) => [id, host!]))
        const overfullBefore = overfullHostsIn(problem, places)
        const brokenBefore = brokenRulesIn(problem, places)
        const { moves, scoreBefore, scoreAfter } = balance(problem, { movesMax })
        assert.ok(moves.length <= movesMax)
        for (const { guest, from, to } of moves as readonly { guest: GuestId; from: HostId; to: HostId }[]) {
          assert.equal(places.get(guest), from)
          places.set(guest, to)
          const overfull = overfullHostsIn(problem, places)
          assert.deepEqual(
            overfull.filter((host) => !overfullBefore.includes(host)),
            [],
          )
        }
        const broken = brokenRulesIn(problem, places)
        assert.deepEqual(
          broken.filter((rule) => !brokenBefore.includes(rule)),
          [],
        )
        if (brokenBefore.length === 0) assert.ok(scoreAfter <= scoreBefore + 1e-9)
      }),
      { numRuns: 300, seed: 20_260_101 },
    )
  })
})
