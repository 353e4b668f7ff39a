import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { GuestView } from '@stead/api/views.ts'
import { LiveStore, type Change } from './live-store.ts'

const guest = (id: string, state = 'running'): Change => ({ kind: 'guest', id, view: { id, state } as GuestView })
const event = (id: string) => ({ id }) as ClusterEvent

function storeWithFrames() {
  const frames: (() => void)[] = []
  const store = new LiveStore((run) => frames.push(run))
  let told = 0
  store.subscribe(() => (told += 1))
  return { store, frame: () => frames.splice(0).forEach((run) => run()), told: () => told }
}

test('what arrives within one frame is applied together', () => {
  const { store, frame, told } = storeWithFrames()
  store.apply([guest('a')], { reset: true })
  store.apply([guest('b')], { reset: false })
  store.addEvents([event('e')])
  assert.equal(store.state().guests.size, 0)
  assert.equal(store.state().isKnown, false)
  frame()
  assert.deepEqual([...store.state().guests.keys()], ['a', 'b'])
  assert.equal(store.state().connection, 'live')
  assert.equal(store.state().isKnown, true)
  assert.equal(told(), 1)
})

test('a change touches its own table and view only', () => {
  const { store, frame } = storeWithFrames()
  store.apply([guest('a'), guest('b'), { kind: 'host', id: 'h1', view: {} as never }], { reset: true })
  frame()
  const before = store.state()
  store.apply([guest('b', 'stopped')], { reset: false })
  frame()
  const after = store.state()
  assert.equal(after.hosts, before.hosts)
  assert.equal(after.guests.get('a'), before.guests.get('a'))
  assert.equal(after.guests.get('b')?.state, 'stopped')
  assert.equal(before.guests.get('b')?.state, 'running')
})

test('what is gone is taken away, and a reset forgets what is not told again', () => {
  const { store, frame } = storeWithFrames()
  store.apply([guest('a'), guest('b'), guest('c')], { reset: true })
  store.apply([{ kind: 'guest', id: 'a', view: null }], { reset: false })
  frame()
  assert.deepEqual([...store.state().guests.keys()], ['b', 'c'])
  store.apply([guest('c')], { reset: true })
  frame()
  assert.deepEqual([...store.state().guests.keys()], ['c'])
})

test('while no host answers the last known stays, marked as old', () => {
  const { store, frame } = storeWithFrames()
  store.apply([guest('a')], { reset: true })
  store.lost(failure('host_unreachable', 'nobody answers'))
  frame()
  assert.equal(store.state().connection, 'lost')
  assert.equal(store.state().guests.size, 1)
  store.apply([], { reset: false })
  frame()
  assert.equal(store.state().connection, 'live')
  assert.equal(store.state().failure, undefined)
})

test('an event is kept once, and only the newest are kept', () => {
  const { store, frame } = storeWithFrames()
  store.addEvents([event('a'), event('b')])
  store.addEvents([event('b'), event('c')])
  frame()
  assert.deepEqual(
    store.state().events.map(({ id }) => id),
    ['a', 'b', 'c'],
  )
  store.addEvents(Array.from({ length: 1_500 }, (_, index) => event(`e${index}`)))
  frame()
  assert.equal(store.state().events.length, 1_000)
  assert.equal(store.state().events.at(-1)?.id, 'e1499')
})
