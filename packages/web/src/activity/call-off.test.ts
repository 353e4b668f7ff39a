import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from '@stead/api/client.ts'
import { ok } from '@stead/core/result.ts'
import { callOffOf } from './call-off.ts'

/** What would be asked for, in place of asking. */
async function askedFor(kind: string, subject: string): Promise<unknown> {
  let asked: unknown
  const call = (endpoint: { id: string }, input: { params: unknown }) => {
    asked = [endpoint.id, input.params]
    return Promise.resolve(ok())
  }
  await callOffOf({ kind, subject, state: 'running' })?.({ call } as unknown as Client)
  return asked
}

test('what goes on is called off by the id of what it is about', async () => {
  assert.deepEqual(await askedFor('vm.migrate', 'guest/g1'), ['guest.cancel-migration', { guest: 'g1' }])
  assert.deepEqual(await askedFor('vm.template', 'guest/g1'), ['guest.cancel-copy', { guest: 'g1' }])
  assert.deepEqual(await askedFor('volume.move', 'volume/v1'), ['volume.cancel-move', { volume: 'v1' }])
  assert.deepEqual(await askedFor('volume.capture', 'volume/v1'), ['volume.cancel-capture', { volume: 'v1' }])
  assert.deepEqual(await askedFor('image.import', 'image/debian'), ['image.cancel-import', { image: 'debian' }])
})

test('what has ended, or cannot be called off, offers nothing', () => {
  assert.equal(callOffOf({ kind: 'vm.migrate', subject: 'guest/g1', state: 'succeeded' }), undefined)
  assert.equal(callOffOf({ kind: 'vm.start', subject: 'guest/g1', state: 'running' }), undefined)
})
