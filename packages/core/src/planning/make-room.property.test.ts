/** Room for a guest, on random problems, against trying every order of every move. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import type { GuestId, HostId } from '../model/ids.ts'
import { brokenRulesIn, cheapestRoom, overfullHostsIn } from './brute-force-fixture.ts'
import { makeRoom } from './make-room.ts'
import { placeGuests } from './place.ts'
import type { PlanningProblem } from './problem.ts'
import { partlyRunning, problems } from './random-problem-fixture.ts'

const SEED = 20_260_101
const GUESTS = 6

/** All run but the last, who fits nowhere; undefined when the problem is another. */
function oneLeftOver(problem: PlanningProblem, fixed: number): PlanningProblem | undefined {
  const partly = partlyRunning(problem, GUESTS - 1)
  if (partly.guests.some(({ needsPlace }, index) => needsPlace !== index >= GUESTS - 1)) return undefined
  if (placeGuests(partly).unplaced.length === 0) return undefined
  return { ...partly, guests: partly.guests.map((guest, index) => ({ ...guest, movable: index !== fixed })) }
}

function runningIn(problem: PlanningProblem): Map<GuestId, HostId> {
  return new Map(problem.guests.flatMap(({ id, at }) => (at === undefined ? [] : [[id, at] as const])))
}

it('is found whenever trying everything finds it, with as few moves, and those as cheap', () => {
  let possible = 0
  fc.assert(
    fc.property(
      problems({ hosts: 4, guests: GUESTS }),
      fc.nat(GUESTS),
      fc.integer({ min: 1, max: 3 }),
      (random, fixed, movesMax) => {
        const problem = oneLeftOver(random, fixed)
        if (problem === undefined) return
        const best = cheapestRoom(problem, runningIn(problem), problem.guests.at(-1)!.id, movesMax)
        const made = makeRoom(problem, { movesMaxFor: () => movesMax })
        if (best) possible++
        const moved = made?.steps.flatMap(({ guests }) => problem.guests.filter(({ id }) => guests.includes(id)))
        const cost = moved && [
          moved.length,
          Math.max(...moved.map(({ priority }) => priority)),
          moved.reduce((bytes, { memoryBytes }) => bytes + memoryBytes, 0),
        ]
        assert.deepEqual(cost, best)
      },
    ),
    { numRuns: 1_500, seed: SEED },
  )
  assert.ok(possible > 50, `room could be made in only ${possible} of the problems`)
})

it('is made in steps of which each can be done, and the guest has its place after the last', () => {
  fc.assert(
    fc.property(problems({ hosts: 4, guests: GUESTS }), fc.nat(GUESTS), (random, fixed) => {
      const problem = oneLeftOver(random, fixed)
      const made = problem && makeRoom(problem, { movesMaxFor: () => 3 })
      if (problem === undefined || made === undefined) return
      const places = runningIn(problem)
      const assertSound = () => {
        assert.deepEqual(brokenRulesIn(problem, places), [])
        assert.deepEqual(overfullHostsIn(problem, places), [])
      }
      for (const { guests, from, to } of made.steps) {
        for (const guest of guests) {
          assert.equal(places.get(guest), from)
          assert.ok(problem.guests.find(({ id }) => id === guest)?.movable)
          places.set(guest, to)
        }
        assertSound()
      }
      places.set(made.guest, made.host)
      assertSound()
    }),
    { numRuns: 800, seed: SEED + 1 },
  )
})
