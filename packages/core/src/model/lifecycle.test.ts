import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLUSTER_FILE_FORMAT, type ClusterFile } from './cluster-file.ts'
import { fileOf, stateOf } from './cluster-file-state.ts'
import { failuresAfterBoot, failuresMax, type Guest } from './guest.ts'
import { canBeGuests, PROBE_DEFAULTS } from './probe.ts'

const GUEST = { name: 'web', memoryBytes: 2 ** 30, cpus: 1 }

function guestOf(more: object): Guest {
  const file: ClusterFile = {
    format: CLUSTER_FILE_FORMAT,
    name: 'c',
    hosts: [{ name: 'h1', memoryBytes: 2 ** 33, cpus: 4 }],
    guests: [{ ...GUEST, ...more }],
    rules: [],
  }
  const [guest] = [...stateOf(file).guests.values()]
  assert(guest)
  assert.deepEqual(fileOf(stateOf(file)).guests[0], { ...file.guests[0] }, 'a file that is exported says the same')
  return guest.value
}

test('a cluster file holds what users want of a guest, and gives it back', () => {
  const lifecycle = {
    tags: ['a'],
    notes: '# b',
    probe: { ...PROBE_DEFAULTS, check: { kind: 'agent' } },
    schedules: [{ id: 'x', action: 'stop', cron: '@daily', timeZone: 'UTC', missed: 'skip' }],
  }
  assert.deepEqual(guestOf({ lifecycle }).lifecycle, lifecycle)
})

test('a boot of its host is never the last failure of a guest that is to start again', () => {
  const ordinary = guestOf({})
  assert.deepEqual([failuresAfterBoot(ordinary, 0), failuresAfterBoot(ordinary, 1)], [1, 2])
  assert(failuresAfterBoot(ordinary, failuresMax(ordinary) - 1) < failuresMax(ordinary))
  assert.equal(failuresAfterBoot(guestOf({ maxRestart: 0, maxRelocate: 0 }), 0), 0)
  const ignored = guestOf({ ha: 'ignored' })
  assert(failuresAfterBoot(ignored, 0) >= failuresMax(ignored))
  assert.equal(failuresAfterBoot(guestOf({ ha: 'ignored', lifecycle: { autostart: true } }), 0), 0)
})

test('addresses that no guest has', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '224.0.0.1', '255.255.255.255', '::', '::1', 'ff02::1'])
    assert.equal(canBeGuests(address), false, address)
  for (const address of ['10.0.0.1', '192.0.2.7', '2001:db8::7', 'fd00::1']) assert.equal(canBeGuests(address), true)
})
