import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestId } from '../model/ids.ts'
import type { PlanningProblem } from './problem.ts'
import { aGuest, aHost, apart, aProblem, banned, onHosts, GIB } from './planning-fixture.ts'
import { smallestChanges } from './smallest-change.ts'

function textsFor(problem: PlanningProblem, guest = 'g'): string[] {
  return smallestChanges(problem, guest as GuestId).map(({ text }) => text)
}

const MIB = 2 ** 20

test('room that is lacking is named to the byte, the least of it first', () => {
  const hosts = [aHost('h1', { memoryBytes: 3 * GIB }), aHost('h2', { memoryBytes: 4 * GIB - 512 * MIB })]
  assert.deepEqual(textsFor(aProblem(hosts, [aGuest('g')])), [
    'if h2 had 512 MiB more of memory free, it could run there',
    'if h1 had 1024 MiB more of memory free, it could run there',
  ])
})

test('memory alone is not proposed where processors lack as well', () => {
  const hosts = [aHost('h1', { memoryBytes: GIB, cpus: 0 }), aHost('h2', { cpus: 0.5 })]
  assert.deepEqual(textsFor(aProblem(hosts, [aGuest('g')])), ['if h2 had 0.5 processors more free, it could run there'])
})

test('a host that is lost or in maintenance is proposed only if the guest fits there', () => {
  const hosts = [
    aHost('h1', { unusableBecause: 'it is lost' }),
    aHost('h2', { unusableBecause: 'it is in maintenance' }),
    aHost('h3', { unusableBecause: 'it is in maintenance', memoryBytes: GIB }),
    aHost('w', { unusableBecause: 'it is a witness and runs no guests' }),
  ]
  assert.deepEqual(textsFor(aProblem(hosts, [aGuest('g')])), [
    'if h2 were not in maintenance, it could run there',
    'if h1 were back, it could run there',
  ])
})

test('a rule is proposed only if nothing else stands in the way', () => {
  const hosts = [aHost('h1'), aHost('h2', { memoryBytes: GIB }), aHost('h3')]
  const guests = [aGuest('g'), aGuest('other', { at: 'h1' })]
  const rules = [apart('web-apart', ['g', 'other']), banned('off', ['g'], ['h2', 'h3'])]
  assert.deepEqual(textsFor(aProblem(hosts, guests, rules)), [
    'if rule web-apart were not strict, it could run on h1',
    'if there were no rule off, it could run on h3',
  ])
})

test('where two things stand in the way everywhere, no single change is claimed to do', () => {
  const hosts = [aHost('h1', { memoryBytes: GIB })]
  assert.deepEqual(textsFor(aProblem(hosts, [aGuest('g')], [banned('off', ['g'], ['h1'])])), [])
})

test('room that a more important guest would take first is none', () => {
  const hosts = [aHost('h1', { memoryBytes: 2 * GIB })]
  const guests = [aGuest('g'), aGuest('first', { priority: 5 })]
  assert.deepEqual(textsFor(aProblem(hosts, guests)), [])
  assert.deepEqual(textsFor(aProblem(hosts, guests), 'first'), [
    'if h1 had 2048 MiB more of memory free, it could run there',
  ])
})

test('of a guest with a place it says what would bring it elsewhere', () => {
  const hosts = [aHost('h1'), aHost('h2', { unusableBecause: 'it is lost' }), aHost('h3')]
  const rules = [onHosts('home', ['g'], ['h2']), banned('off', ['g'], ['h3'])]
  assert.deepEqual(textsFor(aProblem(hosts, [aGuest('g')], rules)), ['if h2 were back, it would be placed there'])
})
