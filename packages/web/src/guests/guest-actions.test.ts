import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestView } from '@stead/api/views.ts'
import { GUEST_ACTIONS, obstacleTo, obstacleToAll, perform } from './guest-actions.ts'

const guest = (change: Partial<GuestView> = {}): GuestView =>
  ({ state: 'running', protectedFrom: [], moveTo: null, migration: null, volumes: [{}], ...change }) as GuestView

const possible = (change: Partial<GuestView>) =>
  GUEST_ACTIONS.filter((action) => obstacleTo(action, guest(change)) === undefined)

test('what can be done follows from the state', () => {
  assert.deepEqual(possible({ state: 'running' }), ['stop', 'restart', 'move', 'snapshot', 'delete'])
  assert.deepEqual(possible({ state: 'stopped' }), ['start', 'move', 'snapshot', 'delete'])
  assert.deepEqual(possible({ state: 'waiting' }), ['stop', 'move', 'snapshot', 'delete'])
  assert.deepEqual(possible({ state: 'creating' }), ['delete'])
  assert.deepEqual(possible({ state: 'deleting' }), [])
})

test('a protected guest keeps what it is protected from', () => {
  assert.equal(obstacleTo('delete', guest({ protectedFrom: ['delete'] })), 'obstacle.protectedFromDelete')
  assert.equal(obstacleTo('stop', guest({ protectedFrom: ['delete'] })), undefined)
  assert.equal(obstacleTo('stop', guest({ protectedFrom: ['stop'] })), 'obstacle.protectedFromStop')
  assert.equal(obstacleTo('delete', guest({ protectedFrom: ['stop'] })), 'obstacle.protectedFromDelete')
})

test('a guest that moves is not moved or restarted again, and one without a disk has no snapshots', () => {
  assert.equal(obstacleTo('move', guest({ moveTo: 'h2' })), 'obstacle.moves')
  assert.equal(obstacleTo('restart', guest({ moveTo: 'h2' })), 'obstacle.moves')
  assert.equal(obstacleTo('snapshot', guest({ volumes: [] })), 'obstacle.noDisk')
})

test('an action on several is possible as soon as one of them allows it', () => {
  assert.equal(obstacleToAll('start', [guest(), guest({ state: 'stopped' })]), undefined)
  assert.equal(obstacleToAll('start', [guest(), guest()]), 'obstacle.runs')
})

test('moving asks for the way that was chosen', async () => {
  const calls: unknown[] = []
  const client = {
    call: async (endpoint: { id: string }, input: { body: unknown }) => calls.push([endpoint.id, input.body]),
  }
  const choice = { force: false, to: 'h2', live: true, postCopy: false, snapshotName: '', memory: false }
  await perform(client as never, 'move', 'web-1', choice)
  await perform(client as never, 'move', 'web-1', { ...choice, live: false })
  await perform(client as never, 'move', 'web-1', { ...choice, to: undefined })
  await perform(client as never, 'move', 'web-1', { ...choice, postCopy: true })
  assert.deepEqual(calls, [
    ['guest.migrate', { to: 'h2' }],
    ['guest.relocate', { to: 'h2' }],
    ['guest.migrate', {}],
    ['guest.migrate', { to: 'h2', postCopy: true }],
  ])
})
