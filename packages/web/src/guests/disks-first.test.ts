import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from '@stead/api/client.ts'
import type { GuestView } from '@stead/api/views.ts'
import { ok } from '@stead/core/result.ts'
import { bringDisk, disksLeftBehind } from './disks-first.ts'

const volume = (name: string, ...hosts: string[]) =>
  ({ id: `id-${name}`, name, replicas: hosts.map((host) => ({ host })) }) as GuestView['volumes'][number]

test('a disk that has a second replica, or lies there already, is not left behind', () => {
  const volumes = [volume('disk0', 'h1', 'h2'), volume('disk1', 'h1'), volume('disk2', 'h3')]
  assert.deepEqual(disksLeftBehind({ volumes }, 'h3'), [{ id: 'id-disk1', name: 'disk1', from: 'h1' }])
})

/** Answers one request after the other, and keeps what was asked for. */
function client(answers: readonly unknown[]) {
  const asked: unknown[] = []
  const left = [...answers]
  const call = (endpoint: { id: string }, input: unknown) => {
    asked.push([endpoint.id, input])
    return Promise.resolve(ok(left.shift()))
  }
  return { asked, client: { call } as unknown as Client }
}

const DISK = { id: 'v1', name: 'disk1', from: 'h1' }
const running = { id: 'o1', state: 'running' }

test('it is there once its move has ended well', async () => {
  const { asked, client: asker } = client([{ operation: running }, running, { ...running, state: 'succeeded' }])
  assert.equal((await bringDisk(asker, DISK, 'h2')).ok, true)
  assert.deepEqual(asked[0], [
    'volume.move',
    { params: { volume: 'v1' }, body: { from: { host: 'h1' }, to: { host: 'h2' } } },
  ])
  assert.equal(asked.length, 3)
})

test('a move that was called off is told', async () => {
  const failed = { ...running, state: 'failed', message: 'x', failure: { message: 'It was called off' } }
  const done = await bringDisk(client([{ operation: running }, failed]).client, DISK, 'h2')
  assert.equal(done.ok ? '' : done.error.message, 'It was called off')
})
