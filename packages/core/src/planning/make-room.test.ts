import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeRoom, type RoomMade } from './make-room.ts'
import { aGuest, aHost, apart, aProblem, banned, GIB, together } from './planning-fixture.ts'
import type { PlanningProblem } from './problem.ts'

const [H1, H2, H3] = [aHost('h1'), aHost('h2'), aHost('h3')]

function room(problem: PlanningProblem, movesMax = 3): RoomMade | undefined {
  return makeRoom(problem, { movesMaxFor: () => movesMax })
}

/** `a h1>h2` for each step. */
function stepsOf(made: RoomMade | undefined): string[] | undefined {
  return made?.steps.map(({ guests, from, to }) => `${guests.join('+')} ${from}>${to}`)
}

function sized(name: string, gib: number, at?: string, more = {}) {
  return aGuest(name, { memoryBytes: gib * GIB, ...(at === undefined ? {} : { at }), ...more })
}

describe('room for a guest that fits nowhere', () => {
  it('is made by moving one that runs', () => {
    const made = room(aProblem([H1, H2], [sized('a', 4, 'h1'), sized('b', 6, 'h2'), sized('big', 14)]))
    assert.deepEqual([made?.guest, made?.host, stepsOf(made)], ['big', 'h1', ['a h1>h2']])
  })

  it('is made for nobody who has a place, and not where nothing helps', () => {
    assert.equal(room(aProblem([H1, H2], [sized('a', 4, 'h1'), sized('new', 4)])), undefined)
    assert.equal(room(aProblem([H1, H2], [sized('a', 12, 'h1'), sized('b', 12, 'h2'), sized('new', 6)])), undefined)
  })

  it('is made with as few moves as possible, however small the others are', () => {
    const guests = [sized('a', 2, 'h1'), sized('b', 1, 'h1'), sized('c', 3, 'h1'), sized('x', 8)]
    const fixed = [sized('f1', 5, 'h1', { movable: false }), sized('f2', 12, 'h2', { movable: false })]
    assert.deepEqual(stepsOf(room(aProblem([H1, H2], [...guests, ...fixed]))), ['c h1>h2'])
  })

  it('takes the least important, then the smallest', () => {
    const small = [sized('a', 3, 'h1', { priority: 5 }), sized('b', 4, 'h1'), sized('c', 3, 'h2', { priority: 1 })]
    const full = [sized('f1', 7, 'h1', { movable: false }), sized('f2', 11, 'h2', { movable: false })]
    const free = sized('f3', 11, 'h3', { movable: false })
    const problem = aProblem([H1, H2, H3], [...small, ...full, free, sized('x', 6)])
    assert.deepEqual(stepsOf(room(problem)), ['b h1>h3'])
  })

  it('is not made with more moves than allowed, nor with guests that may not be moved', () => {
    const guests = [sized('a', 3, 'h1'), sized('b', 3, 'h1'), sized('c', 4, 'h1', { movable: false })]
    const others = [sized('d', 13, 'h2', { movable: false }), sized('e', 13, 'h3', { movable: false })]
    const problem = aProblem([H1, H2, H3], [...guests, ...others, sized('x', 12)])
    assert.equal(room(problem, 1), undefined)
    assert.deepEqual(stepsOf(room(problem, 2))?.toSorted(), ['a h1>h2', 'b h1>h3'])
    const fixed = problem.guests.map((guest) => ({ ...guest, movable: false }))
    assert.equal(room({ ...problem, guests: fixed }), undefined)
  })

  it('goes by way of a third host, in an order in which each step has room', () => {
    // b is too big for h3, and for h2 while c is there.
    const guests = [sized('b', 8, 'h1'), sized('rest', 8, 'h1', { movable: false }), sized('c', 4, 'h2')]
    const others = [sized('d', 6, 'h2', { movable: false }), sized('e', 11, 'h3', { movable: false })]
    const problem = aProblem([H1, H2, H3], [...guests, ...others, sized('x', 7)], [banned('home', ['x'], ['h2', 'h3'])])
    assert.deepEqual(stepsOf(room(problem)), ['c h2>h3', 'b h1>h2'])
  })

  it('never swaps two that have room only once the other is gone', () => {
    const guests = [sized('a', 6, 'h1'), sized('b', 8, 'h2')]
    const fixed = [sized('f1', 9, 'h1', { movable: false }), sized('f2', 6, 'h2', { movable: false })]
    // With a and b exchanged x would have room on h2: 16 - 6 - 6 = 4. Neither can go first.
    assert.equal(
      room(aProblem([aHost('h1', { memoryBytes: 17 * GIB }), H2], [...guests, ...fixed, sized('x', 4)])),
      undefined,
    )
  })

  it('is made where a rule keeps others in the way', () => {
    const guests = [sized('web1', 2, 'h1'), sized('full', 15, 'h2', { movable: false }), sized('web2', 2)]
    const rules = [apart('spread', ['web1', 'web2']), banned('off', ['web2'], ['h3'])]
    assert.deepEqual(stepsOf(room(aProblem([H1, H2, H3], guests, rules))), ['web1 h1>h3'])
  })

  it('moves the one that it must be with along, where there is room for both', () => {
    const guests = [sized('db', 4, 'h1'), sized('fixed', 10, 'h1', { movable: false }), sized('web', 4)]
    const made = room(aProblem([H1, H2], guests, [together('close', ['db', 'web'])]))
    assert.deepEqual([made?.host, stepsOf(made)], ['h2', ['db h1>h2']])
  })

  it('moves those together that must stay together, as one step of two moves', () => {
    const guests = [sized('a', 4, 'h1'), sized('b', 4, 'h1'), sized('c', 8, 'h2'), sized('x', 12)]
    const problem = aProblem([H1, H2], guests, [together('pair', ['a', 'b']), banned('there', ['x'], ['h2'])])
    assert.equal(room(problem, 1), undefined)
    assert.deepEqual(stepsOf(room(problem, 2)), ['a+b h1>h2'])
  })

  it('is made for the most important that can be helped, if it is worth moves', () => {
    const guests = [sized('a', 4, 'h1'), sized('b', 6, 'h2'), sized('huge', 17, undefined, { priority: 9 })]
    const problem = aProblem([H1, H2], [...guests, sized('big', 14)])
    assert.equal(room(problem)?.guest, 'big')
    assert.equal(makeRoom(problem, { movesMaxFor: (id) => (id === 'big' ? 0 : 3) }), undefined)
  })
})
