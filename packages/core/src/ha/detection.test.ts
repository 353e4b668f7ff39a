import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { HostId } from '../model/ids.ts'
import type { HeartbeatView, PeerView } from '../ports/fence.ts'
import { coordinatorByOrder, hostVerdicts, majorityOf, silenceMs, silentToMajority } from './detection.ts'

const id = (name: string) => name as HostId
const DETECTION_MS = 1000

function peer(ageMs: number | undefined, hears: Record<string, number> = {}): PeerView {
  return {
    ageMs: ageMs === undefined ? {} : { lan: ageMs, san: ageMs + 5000 },
    bootId: ageMs === undefined ? '' : 'b',
    hears,
  }
}

function view(peers: Record<string, PeerView>, more: Partial<HeartbeatView> = {}): HeartbeatView {
  return { at: 0, peers, startedMs: 60_000, observingMs: 60_000, stalled: false, isolated: false, ...more }
}

function judge(names: string, seen: HeartbeatView) {
  const members = names.split(' ').map(id)
  return Object.fromEntries(hostVerdicts({ self: id('a'), view: seen, members, detectionMs: DETECTION_MS }))
}

test('three hosts: a dead one is suspected when both others hear nothing', () => {
  assert.deepEqual(judge('a b c', view({ b: peer(50, { c: 1200 }), c: peer(1300) })), { b: 'heard', c: 'suspected' })
})

test('one broken path between two hosts suspects nobody', () => {
  assert.deepEqual(judge('a b c', view({ b: peer(50, { c: 80 }), c: peer(1300) })), { b: 'heard', c: 'silent-here' })
})

test('a host that is cut off alone hears nobody and suspects nobody', () => {
  assert.deepEqual(judge('a b c', view({ b: peer(3000, { c: 900 }), c: peer(3000, { b: 900 }) })), {
    b: 'silent-here',
    c: 'silent-here',
  })
})

test('a host that is heard by all and hears nobody is suspected: it has ended its guests by itself', () => {
  const deaf = peer(50, { a: 1300, b: 1300 })
  assert.deepEqual(judge('a b c', view({ b: peer(50, { c: 60 }), c: deaf })), { b: 'heard', c: 'suspected' })
})

test('a host that does not hear one of its peers is not suspected, nor one that does not hear the dead', () => {
  const halfDeaf = peer(50, { a: 1300, b: 60 })
  assert.equal(judge('a b c', view({ b: peer(50, { c: 60 }), c: halfDeaf })).c, 'silent-here')
  const besideTheDead = peer(50, { a: 60, b: 60, d: 5000, e: 5000 })
  const living = { b: peer(50, { c: 60 }), c: besideTheDead, d: peer(5000), e: peer(5000) }
  assert.equal(judge('a b c d e', view(living)).c, 'heard')
})

test('who has just booted is not told by his peers that they are gone: they could not hear him before', () => {
  const before = peer(50, { a: 60_000 })
  assert.deepEqual(judge('a b', view({ b: before }, { startedMs: 300, observingMs: 300 })), { b: 'heard' })
  assert.deepEqual(judge('a b', view({ b: before }, { startedMs: 1_300, observingMs: 1_300 })), { b: 'suspected' })
})

test('one network that still carries heartbeats is enough', () => {
  const c: PeerView = { ageMs: { lan: 9000, san: 9000, ran: 60 }, bootId: 'b', hears: {} }
  assert.equal(judge('a b c', view({ b: peer(50, { c: 9000 }), c })).c, 'heard')
})

test('the age of a statement is added to it', () => {
  assert.equal(judge('a b c', view({ b: peer(150, { c: 900 }), c: peer(1300) })).c, 'suspected')
  assert.equal(judge('a b c', view({ b: peer(50, { c: 900 }), c: peer(1300) })).c, 'silent-here')
})

test('a statement older than half the detection time says nothing', () => {
  assert.equal(judge('a b c', view({ b: peer(600, { c: 5000 }), c: peer(1300) })).c, 'silent-here')
})

test('five hosts: three living suspect two dead; a side of two suspects nobody', () => {
  const silent = { d: 2000, e: 2000 }
  const three = view({ b: peer(50, silent), c: peer(50, silent), d: peer(2000), e: peer(2000) })
  assert.deepEqual(judge('a b c d e', three), { b: 'heard', c: 'heard', d: 'suspected', e: 'suspected' })
  const others = { c: 2000, d: 2000, e: 2000 }
  const two = view({ b: peer(50, others), c: peer(2000), d: peer(2000), e: peer(2000) })
  assert.deepEqual(judge('a b c d e', two), { b: 'heard', c: 'silent-here', d: 'silent-here', e: 'silent-here' })
})

test('an observer that has just woken up suspects nobody, and counts silence from then', () => {
  const peers = { b: peer(20, { c: 7000 }), c: peer(7000) }
  assert.equal(judge('a b c', view(peers, { stalled: true, observingMs: 10 })).c, 'heard')
  assert.equal(judge('a b c', view(peers, { observingMs: 700 })).c, 'heard')
  assert.equal(judge('a b c', view(peers, { observingMs: 1100 })).c, 'suspected')
})

test('a host never heard is judged only after the detection time and the start-up grace', () => {
  const peers = { b: peer(20, { c: 7000 }), c: peer(undefined) }
  assert.equal(judge('a b c', view(peers, { startedMs: 3900, observingMs: 3900 })).c, 'heard')
  assert.equal(judge('a b c', view(peers, { startedMs: 4100, observingMs: 4100 })).c, 'suspected')
  assert.equal(silenceMs(view(peers, { startedMs: 2000, observingMs: 2000 }), 'c' as HostId), undefined)
})

test('the coordinator is the first in the order whom this host and no silent majority contradict', () => {
  const members = ['h1', 'h2', 'h3', 'h4', 'h5'].map(id)
  const silent = { h1: 2000 }
  const seen = view({ h1: peer(50), h2: peer(50, silent), h3: peer(50, silent), h4: peer(50, silent) })
  const input = { self: id('h5'), view: seen, members, detectionMs: DETECTION_MS }
  const verdicts = hostVerdicts(input)
  assert.equal(coordinatorByOrder({ self: id('h5'), order: members, verdicts }), 'h1')
  assert.equal(
    coordinatorByOrder({ self: id('h5'), order: members, verdicts, silentToMajority: silentToMajority(input) }),
    'h2',
  )
  assert.equal(coordinatorByOrder({ self: id('h1'), order: members, verdicts: new Map() }), 'h1')
  assert.equal(coordinatorByOrder({ self: id('x'), order: members, verdicts: new Map() }), 'x')
})

/** A world in which each pair of hosts has a symmetric silence; each host's view follows from it. */
const world = fc.integer({ min: 2, max: 7 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    silences: fc.array(fc.constantFrom(0, 60, 400, 700, 990, 1010, 4000), {
      minLength: count * count,
      maxLength: count * count,
    }),
  }),
)

function silenceBetween(silences: readonly number[], count: number, a: number, b: number): number {
  return silences[Math.min(a, b) * count + Math.max(a, b)] ?? 0
}

test('property: a suspicion is always backed by a majority that really hears nothing', () => {
  fc.assert(
    fc.property(world, ({ count, silences }) => {
      const members = Array.from({ length: count }, (_, index) => id(`h${index}`))
      members.forEach((self, observer) => {
        const peers = Object.fromEntries(
          members.flatMap((name, index) => {
            if (index === observer) return []
            const hears = Object.fromEntries(
              members.flatMap((other, at) =>
                at === index ? [] : [[other, silenceBetween(silences, count, index, at)]],
              ),
            )
            return [[name, peer(silenceBetween(silences, count, observer, index), hears)]]
          }),
        )
        const verdicts = hostVerdicts({ self, view: view(peers), members, detectionMs: DETECTION_MS })
        for (const [target, verdict] of verdicts) {
          const at = members.indexOf(target)
          const here = silenceBetween(silences, count, observer, at)
          assert.equal(verdict === 'heard', here <= DETECTION_MS)
          if (verdict !== 'suspected') continue
          // Statements are at most half the detection time old, so each of the majority heard nothing for that long.
          const silent = members.filter(
            (_, index) => index !== at && silenceBetween(silences, count, index, at) > DETECTION_MS / 2,
          )
          assert.ok(silent.length >= majorityOf(count - 1))
        }
      })
    }),
  )
})

test('property: of an odd number of hosts, two sides of a clean cut never suspect each other both', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 8 }), (half, cut) => {
      const count = 2 * half + 1
      fc.pre(cut < count)
      const members = Array.from({ length: count }, (_, index) => id(`h${index}`))
      const side = (index: number) => index < cut
      const suspects = members.map((self, observer) => {
        const together = (index: number, other: number) => (side(index) === side(other) ? 50 : 3000)
        const peers = Object.fromEntries(
          members.flatMap((name, index) =>
            index === observer
              ? []
              : [
                  [
                    name,
                    peer(
                      together(observer, index),
                      Object.fromEntries(members.map((other, at) => [other, together(index, at)])),
                    ),
                  ],
                ],
          ),
        )
        const verdicts = hostVerdicts({ self, view: view(peers), members, detectionMs: DETECTION_MS })
        return [...verdicts.values()].includes('suspected')
      })
      const left = suspects.slice(0, cut).some(Boolean)
      const right = suspects.slice(cut).some(Boolean)
      assert.ok(!(left && right))
    }),
  )
})
