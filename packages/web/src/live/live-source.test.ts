import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LiveBatch } from '@stead/api/endpoints/live-views.ts'
import { BatchGatherer } from './live-source.ts'

const batch = (part: Partial<LiveBatch>): LiveBatch => ({ id: '1', reset: false, complete: true, changes: [], ...part })
const change = (id: string) => ({ kind: 'guest', id, view: null }) as const

function gatherer() {
  const applied: string[] = []
  const gather = new BatchGatherer({
    apply: (changes, { reset }) => applied.push(`${reset ? 'all' : 'some'}: ${changes.map(({ id }) => id).join(' ')}`),
  })
  return { gather, applied }
}

test('the first batches are shown when all of them are there', () => {
  const { gather, applied } = gatherer()
  gather.take(batch({ reset: true, complete: false, changes: [change('a')] }))
  gather.take(batch({ complete: false, changes: [change('b')] }))
  assert.deepEqual(applied, [])
  gather.take(batch({ changes: [change('c')] }))
  assert.deepEqual(applied, ['all: a b c'])
})

test('after that each batch is shown as it comes, also one that begins anew', () => {
  const { gather, applied } = gatherer()
  gather.take(batch({ reset: true, changes: [change('a')] }))
  gather.take(batch({ changes: [change('b')] }))
  gather.take(batch({ reset: true, complete: false, changes: [change('c')] }))
  gather.take(batch({ reset: true, changes: [change('d')] }))
  assert.deepEqual(applied, ['all: a', 'some: b', 'all: d'])
})
