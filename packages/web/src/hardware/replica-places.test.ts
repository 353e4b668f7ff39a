import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placeOf, placeText, roomsFor } from './replica-places.ts'

const pool = (name: string) => ({ name, capacityBytes: 100, allocatedBytes: 40, subvolumes: false })
const hosts = ['h1', 'h2', 'h3'].map((name) => ({ name, pools: [pool('fast'), pool('slow')] }))
const volume = {
  replicas: [
    { host: 'h1', pool: 'fast' },
    { host: 'h2', pool: 'fast' },
  ] as never,
}
const places = (from?: string) => roomsFor(volume, hosts, from === undefined ? undefined : placeOf(from)).map(placeText)

test('one replica more goes to a host that has none', () => {
  assert.deepEqual(places(), ['h3/fast', 'h3/slow'])
  assert.equal(roomsFor(volume, hosts, undefined)[0]?.freeBytes, 60)
})

test('one that leaves may also go to another pool of its host', () => {
  assert.deepEqual(places('h1/fast'), ['h1/slow', 'h3/fast', 'h3/slow'])
})
