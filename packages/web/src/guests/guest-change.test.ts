import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestView } from '@stead/api/views.ts'
import { GUEST_CHANGES, obstacleToChange } from './guest-change.ts'

const guest = (change: Partial<GuestView> = {}): GuestView =>
  ({
    ...{ state: 'running', kind: 'vm', template: false, volumes: [{}], nics: [{}], moveTo: null, migration: null },
    media: { cdrom: { image: null }, bootOrder: ['disk', 'cdrom'], cloudInit: false },
    ...change,
  }) as GuestView
const possible = (change: Partial<GuestView>) =>
  GUEST_CHANGES.filter((one) => obstacleToChange(one, guest(change)) === undefined)

test('a running guest changes its hardware; what needs its disks to hold still waits for its end', () => {
  assert.deepEqual(possible({}), ['resize', 'medium', 'cloudInit', 'addDisk', 'addNic', 'assign'])
  assert.deepEqual(possible({ state: 'stopped' }), GUEST_CHANGES)
  assert.equal(obstacleToChange('clone', guest()), 'obstacle.running')
})

test('its hardware does not change on the way to another host', () => {
  assert.deepEqual(possible({ moveTo: 'h2' }), ['cloudInit', 'assign'])
  assert.equal(obstacleToChange('addNic', guest({ moveTo: 'h2' })), 'obstacle.moves')
})

test('a template is cloned as it is, and becomes none again', () => {
  assert.equal(obstacleToChange('template', guest({ state: 'stopped', template: true })), 'obstacle.template')
  assert.equal(obstacleToChange('clone', guest({ state: 'stopped', template: true })), undefined)
})

test('there are only so many disks and cards, and a drive is not put into a running machine', () => {
  assert.equal(obstacleToChange('addDisk', guest({ volumes: Array(12).fill({}) })), 'obstacle.disksFull')
  assert.equal(obstacleToChange('addNic', guest({ nics: Array(4).fill({}) })), 'obstacle.nicsFull')
  const media = { cdrom: null, bootOrder: [], cloudInit: false }
  assert.equal(obstacleToChange('medium', guest({ media })), 'obstacle.noDrive')
  assert.equal(obstacleToChange('medium', guest({ media, state: 'stopped' })), undefined)
})

test('what is made or deleted is left alone', () => {
  assert.deepEqual(possible({ state: 'creating' }), [])
  assert.deepEqual(possible({ state: 'deleting' }), [])
})
