/** Random problems: what must hold for every one of them, and small ones against trying everything. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { GuestId, HostId } from '../model/ids.ts'
import type { Rule } from '../model/rule.ts'
import { brokenRulesIn, canPlaceAll, overfullHostsIn } from './brute-force-fixture.ts'
import { placeGuests } from './place.ts'
import { aGuest, aHost, apart, aProblem, banned, GIB, onHosts, together } from './planning-fixture.ts'
import type { PlanningProblem } from './problem.ts'

const SEED = 20_260_101

interface Size {
  readonly hosts: number
  readonly guests: number
}

function problems(size: Size): fc.Arbitrary<PlanningProblem> {
  const hostNames = Array.from({ length: size.hosts }, (_, index) => `h${index}`)
  const guestNames = Array.from({ length: size.guests }, (_, index) => `g${index}`)
  const some = (names: readonly string[], min: number, max: number) =>
    fc.uniqueArray(fc.constantFrom(...names), { minLength: min, maxLength: Math.min(max, names.length) })
  const hosts = fc.tuple(
    ...hostNames.map((id) =>
      fc
        .record({
          gib: fc.integer({ min: 4, max: 16 }),
          rack: fc.constantFrom('r1', 'r2', 'r3'),
          usable: fc.boolean(),
          gpus: fc.nat(2),
        })
        .map(({ gib, rack, usable, gpus }) =>
          aHost(id, {
            memoryBytes: gib * GIB,
            cpus: 12,
            faultDomains: { rack },
            devices: { gpu: gpus },
            // Most hosts are well.
            unusableBecause: usable || id === 'h0' ? '' : 'it is lost',
          }),
        ),
    ),
  )
  const guests = fc.tuple(
    ...guestNames.map((name) =>
      fc
        .record({
          gib: fc.integer({ min: 1, max: 8 }),
          cpus: fc.integer({ min: 1, max: 4 }),
          priority: fc.nat(2),
          gpu: fc.nat(8),
          failedOn: some(hostNames, 0, 1),
          near: some(hostNames, 0, 2),
        })
        .map(({ gib, cpus, priority, gpu, failedOn, near }) =>
          aGuest(name, {
            memoryBytes: gib * GIB,
            cpus,
            priority,
            devices: gpu === 0 ? { gpu: 1 } : {},
            failedOn: failedOn as HostId[],
            near: near as HostId[],
          }),
        ),
    ),
  )
  const rule: fc.Arbitrary<(id: string) => Rule> = fc.oneof(
    fc
      .record({ members: some(guestNames, 2, 3), strict: fc.boolean() })
      .map((r) => (id: string) => together(id, r.members, r.strict)),
    fc
      .record({ members: some(guestNames, 2, 3), strict: fc.boolean(), across: fc.constantFrom('host', 'rack') })
      .map((r) => (id: string) => apart(id, r.members, r)),
    fc
      .record({ members: some(guestNames, 1, 2), on: some(hostNames, 1, 3), strict: fc.boolean() })
      .map((r) => (id: string) => onHosts(id, r.members, r.on, r.strict)),
    fc
      .record({ members: some(guestNames, 1, 2), on: some(hostNames, 1, 2) })
      .map((r) => (id: string) => banned(id, r.members, r.on)),
  )
  const rules = fc.array(rule, { maxLength: 4 }).map((made) => made.map((make, index) => make(`rule${index}`)))
  return fc.tuple(hosts, guests, rules).map(([h, g, r]) => aProblem(h, g, r))
}

/** With the first guests running already, wherever the plan for them alone puts them. */
function partlyRunning(problem: PlanningProblem, running: number): PlanningProblem {
  const first = problem.guests.slice(0, running)
  const { places } = placeGuests({ ...problem, guests: first })
  const guests = problem.guests.map((guest) => {
    const at = places.get(guest.id)
    return at === undefined ? guest : { ...guest, at, needsPlace: false }
  })
  return { ...problem, guests }
}

function finalPlaces(problem: PlanningProblem, options = {}): Map<GuestId, HostId> {
  const placement = placeGuests(problem, options)
  const running = problem.guests.filter(({ needsPlace }) => !needsPlace).map(({ id, at }) => [id, at!] as const)
  return new Map([...running, ...placement.moves.map(({ guest, to }) => [guest, to] as const), ...placement.places])
}

describe('any placement', () => {
  it('breaks no strict rule and overfills no host', () => {
    fc.assert(
      fc.property(problems({ hosts: 5, guests: 14 }), fc.nat(10), fc.nat(4), (problem, running, makeRoomMovesMax) => {
        const partly = partlyRunning(problem, running)
        const places = finalPlaces(partly, { makeRoomMovesMax })
        assert.deepEqual(brokenRulesIn(partly, places), [])
        assert.deepEqual(overfullHostsIn(partly, places), [])
      }),
      { numRuns: 400, seed: SEED },
    )
  })

  it('accounts for every guest once, and gives a reason for each host', () => {
    fc.assert(
      fc.property(problems({ hosts: 4, guests: 9 }), (problem) => {
        const placement = placeGuests(problem)
        assert.deepEqual(
          new Set([...placement.places.keys(), ...placement.unplaced]),
          new Set(problem.guests.map(({ id }) => id)),
        )
        assert.equal(placement.places.size + placement.unplaced.length, problem.guests.length)
        for (const { id } of problem.guests) {
          const candidates = placement.explain(id)
          assert.equal(candidates.length, problem.hosts.length)
          assert.equal(candidates.find(({ chosen }) => chosen)?.host, placement.places.get(id))
          for (const { chosen, rejectedBecause } of candidates) assert.equal(rejectedBecause === '', chosen)
        }
      }),
      { numRuns: 300, seed: SEED },
    )
  })

  it('is the same for the same problem', () => {
    fc.assert(
      fc.property(problems({ hosts: 4, guests: 9 }), (problem) => {
        assert.deepEqual([...placeGuests(problem).places], [...placeGuests(structuredClone(problem)).places])
      }),
      { numRuns: 50, seed: SEED },
    )
  })
})

describe('a placement of a small problem', () => {
  it('places all guests whenever trying everything does', () => {
    let possible = 0
    fc.assert(
      fc.property(problems({ hosts: 4, guests: 7 }), (problem) => {
        if (!canPlaceAll(problem)) return
        possible++
        assert.deepEqual(placeGuests(problem).unplaced, [])
      }),
      { numRuns: 500, seed: SEED },
    )
    assert.ok(possible > 50, `only ${possible} of the problems could be solved`)
  })

  it('does so around guests that run already', () => {
    fc.assert(
      fc.property(problems({ hosts: 4, guests: 7 }), fc.integer({ min: 1, max: 4 }), (problem, running) => {
        const partly = partlyRunning(problem, running)
        const at = partly.guests.flatMap((guest) => (guest.at === undefined ? [] : [[guest.id, guest.at] as const]))
        if (canPlaceAll(partly, new Map(at))) assert.deepEqual(placeGuests(partly).unplaced, [])
      }),
      { numRuns: 500, seed: SEED },
    )
  })

  it('fills hosts to the brim where that is the only way', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 6, maxLength: 10 }),
        fc.integer(),
        (sizes, cut) => {
          // Three hosts cut to measure: what is on each at first fills it.
          const bins: [number[], number[], number[]] = [[], [], []]
          for (const [index, size] of sizes.entries()) bins[Math.abs(cut + index * 7) % 3]?.push(size)
          const hosts = bins.map((bin, index) =>
            aHost(`h${index}`, { memoryBytes: bin.reduce((a, b) => a + b, 0) * GIB }),
          )
          const guests = sizes.map((size, index) => aGuest(`g${index}`, { memoryBytes: size * GIB }))
          assert.deepEqual(placeGuests(aProblem(hosts, guests)).unplaced, [])
        },
      ),
      { numRuns: 300, seed: SEED },
    )
  })
})
