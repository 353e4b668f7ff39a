import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setGuestBody } from './guests.ts'
import { addScheduleBody, setProbeBody } from './lifecycle.ts'

const check = { kind: 'tcp', port: 80, address: '10.0.0.7' }

for (const [what, change] of [
  ['port 0', { check: { ...check, port: 0 } }],
  ['port 65536', { check: { ...check, port: 65_536 } }],
  ['a port that is no number', { check: { ...check, port: Number.NaN } }],
  ['a name for an address', { check: { ...check, address: 'db.example' } }],
  ["the host's loopback", { check: { ...check, address: '127.0.0.1' } }],
  ["the host's loopback by IPv6", { check: { ...check, address: '::1' } }],
  ['the same in another dress', { check: { ...check, address: '::ffff:127.0.0.1' } }],
  ['any address', { check: { ...check, address: '0.0.0.0' } }],
  ['a multicast address', { check: { ...check, address: '224.0.0.1' } }],
  ['a check of no kind', { check: { kind: 'icmp', address: '10.0.0.7' } }],
  ['an unknown field', { check: { ...check, colour: 'red' } }],
  ['a path with a line end', { check: { ...check, kind: 'http', path: '/a\r\nHost: b' } }],
  ['a path without a slash', { check: { ...check, kind: 'http', path: 'a' } }],
  ['a status of 99', { check: { ...check, kind: 'http', path: '/', status: 99 } }],
  ['an empty text', { check: { kind: 'console', find: '', as: 'text' } }],
  ['a control character', { check: { kind: 'console', find: '\u001b[2J', as: 'text' } }],
  ['a pattern that looks back', { check: { kind: 'console', find: '(a)\\1', as: 'pattern' } }],
  ['a period of nothing', { periodMs: 0 }],
  ['a negative delay', { initialDelayMs: -1 }],
  ['a threshold of 0', { successThreshold: 0 }],
  ['half a threshold', { failureThreshold: 1.5 }],
  ['an endless timeout', { timeoutMs: Number.POSITIVE_INFINITY }],
] as const)
  test(`a probe with ${what} is refused`, () => {
    assert(setProbeBody.safeParse({ check, ...{} }).success)
    assert.equal(setProbeBody.safeParse({ check, ...change }).success, false)
  })

const schedule = { name: 'a', action: 'stop', cron: '0 1 * * *' }

for (const [what, change] of [
  ['a name that is no label', { name: 'A b' }],
  ['an overlong name', { name: 'a'.repeat(64) }],
  ['an unknown action', { action: 'explode' }],
  ['an expression of four fields', { cron: '* * * *' }],
  ['an hour of 24', { cron: '0 24 * * *' }],
  ['an unknown zone', { timeZone: 'Mars/Olympus' }],
  ['an empty zone', { timeZone: '' }],
] as const)
  test(`a schedule with ${what} is refused`, () => {
    assert(addScheduleBody.safeParse(schedule).success)
    assert.equal(addScheduleBody.safeParse({ ...schedule, ...change }).success, false)
  })

for (const [what, body] of [
  ['a tag with a comma', { tags: ['a,b'] }],
  ['a tag in capitals', { tags: ['Web'] }],
  ['an empty tag', { tags: [''] }],
  ['the same tag twice', { tags: ['a', 'a'] }],
  ['33 tags', { tags: Array.from({ length: 33 }, (_, index) => `t${index}`) }],
  ['notes that are too long', { notes: 'x'.repeat(8_193) }],
  ['notes that clear the screen', { notes: '\u001b[2J' }],
  ['a protection from nothing known', { protectedFrom: ['fire'] }],
] as const)
  test(`${what} is refused`, () => assert.equal(setGuestBody.safeParse(body).success, false))

test('an address may be left to the agent inside the guest', () => {
  assert(setProbeBody.safeParse({ check: { kind: 'tcp', port: 22 } }).success)
  assert(setProbeBody.safeParse({ check: { kind: 'agent' } }).success)
})

test('notes may have lines and tabs', () => assert(setGuestBody.safeParse({ notes: '# a\n\n\t*b* ąę' }).success))
