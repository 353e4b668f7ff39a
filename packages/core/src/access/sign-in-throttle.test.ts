import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SignInThrottle, type Attempt } from './sign-in-throttle.ts'

const alice = (address: string, device?: string): Attempt => ({
  user: 'alice',
  address,
  ...(device === undefined ? {} : { device }),
})

/** Tries until it must wait; how often it could. */
function tries(throttle: SignInThrottle, attempt: Attempt, nowMs = 0): number {
  for (let count = 0; count < 1_000; count++) if (throttle.begin(attempt, nowMs) > 0) return count
  return Infinity
}

test('after five failures an address waits, twice as long each time, a quarter of an hour at most', () => {
  const throttle = new SignInThrottle()
  assert.equal(tries(throttle, alice('a')), 5)
  const waits: number[] = []
  let nowMs = 0
  for (let count = 0; count < 14; count++) {
    const waitMs = throttle.begin(alice('a'), nowMs)
    waits.push(waitMs)
    nowMs += waitMs
    assert.equal(throttle.begin(alice('a'), nowMs), 0)
  }
  assert.deepEqual(waits.slice(0, 4), [1_000, 2_000, 4_000, 8_000])
  assert.equal(waits.at(-1), 15 * 60_000)
})

test('who signs in starts anew, and mistyping for a year is forgotten', () => {
  const throttle = new SignInThrottle()
  for (let count = 0; count < 4; count++) throttle.begin(alice('a'), 0)
  throttle.succeeded(alice('a'), 0)
  assert.equal(tries(throttle, alice('a')), 5)
  assert.equal(tries(throttle, alice('a'), 3_600_000), 5)
})

test('a store that does not answer counts as no failure', () => {
  const throttle = new SignInThrottle()
  for (let count = 0; count < 100; count++) {
    assert.equal(throttle.begin(alice('a'), 0), 0)
    throttle.undo(alice('a'), 0)
  }
})

test('many tries at once are counted before any of them is decided', () => {
  const throttle = new SignInThrottle()
  const begun = Array.from({ length: 100 }, () => throttle.begin(alice('a'), 0))
  assert.equal(begun.filter((waitMs) => waitMs === 0).length, 5)
})

test('one address that tries many users waits as well', () => {
  const throttle = new SignInThrottle()
  let begun = 0
  for (let count = 0; count < 200; count++) if (throttle.begin({ user: `u${count}`, address: 'a' }, 0) === 0) begun++
  assert.equal(begun, 50)
})

test('a thousand addresses get one try each once the attack is seen, and the known device none less', () => {
  const throttle = new SignInThrottle()
  let begun = 0
  for (let count = 0; count < 1_000; count++) begun += tries(throttle, alice(`b${count}`))
  assert.ok(begun <= 50 + 5 + 1_000, String(begun))
  assert.equal(tries(throttle, alice('b0', 'laptop')), 10)
})

test('whatever others do, an address and a device that have not failed are let through', () => {
  const attempt = fc.record({
    user: fc.constantFrom('alice', 'bob'),
    address: fc.constantFrom('x', 'y', 'z'),
    device: fc.option(fc.constantFrom('phone'), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 300 }), (others) => {
      const throttle = new SignInThrottle()
      for (const { device, ...rest } of others) throttle.begin({ ...rest, ...(device ? { device } : {}) }, 0)
      assert.equal(throttle.begin(alice('home'), 0), 0)
      assert.equal(throttle.begin(alice('x', 'laptop'), 0), 0)
    }),
  )
})
