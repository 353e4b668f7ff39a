import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { emptyClusterState } from '@stead/core/model/cluster-reducer.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { TakenAway } from './taken-away.ts'

function watched() {
  const listeners = new Set<(state: ClusterState) => void>()
  const mirror = {
    state: emptyClusterState(),
    onChange: (listener: (state: ClusterState) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const change = (part: Partial<ClusterState>) => {
    mirror.state = { ...mirror.state, ...part }
    for (const listener of [...listeners]) listener(mirror.state)
  }
  const asked = { permitted: true, times: 0 }
  const gone = new AbortController()
  const taken = new TakenAway(mirror as unknown as ClusterMirror, gone.signal, () => {
    asked.times++
    return asked.permitted
  })
  return { taken, asked, gone, change, listeners }
}

test('it is asked again when what is said of people changes, and not with every change of the cluster', () => {
  const { taken, asked, change, gone } = watched()
  for (let count = 0; count < 100; count++) change({ observations: new Map(), operations: new Map() })
  assert.equal(asked.times, 0)
  for (const part of ['users', 'groups', 'roles', 'tokens', 'permissions', 'sessions']) change({ [part]: new Map() })
  assert.deepEqual([asked.times, taken.signal.aborted], [6, false])
  gone.abort()
})

test('what is taken away ends at once, and nobody listens any more', () => {
  const { taken, asked, change, listeners } = watched()
  asked.permitted = false
  change({ sessions: new Map() })
  assert.deepEqual([taken.taken.aborted, taken.signal.aborted, listeners.size], [true, true, 0])
})

test('a client that has gone ends it too, but nothing was taken from it', () => {
  const { taken, gone, listeners } = watched()
  gone.abort()
  assert.deepEqual([taken.taken.aborted, taken.signal.aborted, listeners.size], [false, true, 0])
})

test('what ends by time is noticed without any change', { timeout: 20_000 }, async () => {
  const { taken, asked } = watched()
  const ended = new Promise((resolve) => taken.taken.addEventListener('abort', resolve))
  // The look each second keeps no process alive.
  const alive = setInterval(() => undefined, 1_000)
  asked.permitted = false
  await ended
  clearInterval(alive)
})
