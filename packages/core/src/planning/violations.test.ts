import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aGuest, aHost, apart, aProblem, banned, onHosts, together, GIB } from './planning-fixture.ts'
import { violationsIn } from './violations.ts'

const HOSTS = [aHost('h1'), aHost('h2'), aHost('h3')]

test('guests that run where their rules want them break none', () => {
  const guests = [aGuest('a', { at: 'h1' }), aGuest('b', { at: 'h1' }), aGuest('c', { at: 'h2' })]
  assert.deepEqual(violationsIn(aProblem(HOSTS, guests, [together('t', ['a', 'b']), apart('x', ['a', 'c'])])), [])
})

test('a rule set later is broken by each guest that runs against it', () => {
  const guests = [aGuest('a', { at: 'h1' }), aGuest('b', { at: 'h1' }), aGuest('c', { at: 'h2' })]
  const found = violationsIn(
    aProblem(HOSTS, guests, [apart('x', ['a', 'b']), banned('off', ['c'], ['h2']), together('t', ['b', 'c'])]),
  )
  assert.deepEqual(
    found.map(({ guest, host, rules, why }) => [guest, host, rules, why]),
    [
      ['a', 'h1', ['x'], 'rule x keeps a apart from b, which is there'],
      ['b', 'h1', ['t'], 'rule t keeps b together with c, which is on h2'],
      ['c', 'h2', ['off'], 'rule off keeps c off it'],
    ],
  )
})

test('a wish that is not fulfilled breaks nothing', () => {
  const guests = [aGuest('a', { at: 'h1' }), aGuest('b', { at: 'h1' })]
  const rules = [apart('x', ['a', 'b'], { strict: false }), onHosts('p', ['a'], ['h2'])]
  assert.deepEqual(violationsIn(aProblem(HOSTS, guests, rules)), [])
})

test('a host that is too full is said of its guests, one that is unusable is not', () => {
  const hosts = [aHost('h1', { memoryBytes: 6 * GIB }), aHost('h2', { unusableBecause: 'it is in maintenance' })]
  const guests = [aGuest('a', { at: 'h1' }), aGuest('b', { at: 'h1' }), aGuest('c', { at: 'h2' })]
  const found = violationsIn(aProblem(hosts, guests))
  assert.deepEqual(
    found.map(({ guest, rules, why }) => [guest, rules, why]),
    ['a', 'b'].map((guest) => [guest, [], 'it has 2048 MiB of memory free, 4096 MiB are needed']),
  )
})
