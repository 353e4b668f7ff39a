/** Random problems: what must hold for every one of them, and small ones against trying everything. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { GuestId, HostId } from '../model/ids.ts'
import { brokenRulesIn, canPlaceAll, overfullHostsIn } from './brute-force-fixture.ts'
import { placeGuests } from './place.ts'
import { aGuest, aHost, aProblem, GIB } from './planning-fixture.ts'
import type { PlanningProblem } from './problem.ts'
import { partlyRunning, problems } from './random-problem-fixture.ts'

const SEED = 20_260_101

function finalPlaces(problem: PlanningProblem): Map<GuestId, HostId> {
  const placement = placeGuests(problem)
  const running = problem.guests.filter(({ needsPlace }) => !needsPlace).map(({ id, at }) => [id, at!] as const)
  return new Map([...running, ...placement.places])
}

describe('any placement', () => {
  it('breaks no strict rule and overfills no host', () => {
    fc.assert(
      fc.property(problems({ hosts: 5, guests: 14 }), fc.nat(10), (problem, running) => {
        const partly = partlyRunning(problem, running)
        const places = finalPlaces(partly)
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
