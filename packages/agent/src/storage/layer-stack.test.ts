import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import {
  mergeable,
  nextStep,
  REST_BYTES,
  rolledBack,
  withCut,
  withMerged,
  withoutSnapshot,
  withoutTop,
  type Layer,
  type LayerStack,
} from './layer-stack.ts'

const BASE: LayerStack = [{ file: 'v.raw', format: 'raw' }]
const layer = (name: string): Layer => ({ file: `v.${name}.qcow2`, format: 'qcow2' })
const id = (name: string) => name as SnapshotId

/** raw (s1) <- 1 (s2) <- 2 (s3) <- 3 */
const three = ['1', '2', '3'].reduce((stack, name) => withCut(stack, id(`s${name}`), layer(name), 0), BASE)

function shape(stack: LayerStack): string {
  return stack.map(({ file, holds }) => `${file.split('.')[1] ?? ''}${holds ? `=${holds}` : ''}`).join(' ')
}

test('each cut makes the topmost layer hold the snapshot and puts a new one above', () => {
  assert.equal(shape(three), 'raw=s1 1=s2 2=s3 3')
  assert.equal(shape(withoutTop(three)), 'raw=s1 1=s2 2')
  assert.equal(nextStep(three, true, 2 * REST_BYTES), undefined)
})

test('a layer that no snapshot needs takes what the one above it holds', () => {
  const released = withoutSnapshot(three, id('s1'), 7)
  assert.deepEqual(nextStep(released, true, 0), { kind: 'merge', upper: 1 })
  assert.deepEqual(
    mergeable(released).map((each) => [each.layer.file, each.since]),
    [['v.1.qcow2', 7]],
  )
  assert.equal(shape(withMerged(released, 1)), 'raw=s2 2=s3 3')
  assert.equal(nextStep(withMerged(released, 1), true, 0), undefined)
})

test('what is written is merged only after another layer has taken its place, and when it is worth it', () => {
  const released = withoutSnapshot(three, id('s3'), 7)
  assert.equal(nextStep(released, true, REST_BYTES), undefined)
  assert.deepEqual(nextStep(released, true, REST_BYTES + 1), { kind: 'push' })
  const pushed = withCut(released, undefined, layer('4'), 8)
  assert.equal(shape(pushed), 'raw=s1 1=s2 2 3 4')
  assert.deepEqual(nextStep(pushed, true, 0), { kind: 'merge', upper: 3 })
  const merged = withMerged(pushed, 3)
  assert.equal(shape(merged), 'raw=s1 1=s2 2 4')
  assert.equal(merged[2]?.freeSince, 8)
})

test('while nobody writes, the topmost layer itself is merged, down to the raw file', () => {
  const none = ['s1', 's2', 's3'].reduce((stack, name) => withoutSnapshot(stack, id(name), 7), three)
  let stack = none
  const steps: string[] = []
  for (let step = nextStep(stack, false, 0); step && step.kind !== 'push'; step = nextStep(stack, false, 0)) {
    steps.push(step.kind)
    stack = withMerged(stack, step.kind === 'merge' ? step.upper : stack.length - 1)
  }
  assert.deepEqual(steps, ['merge', 'merge', 'collapse'])
  assert.deepEqual(stack, BASE)
})

test('a roll-back keeps the snapshot and what is older, and begins a new layer', () => {
  assert.equal(shape(rolledBack(three, id('s2'), layer('9')) ?? []), 'raw=s1 1=s2 9')
  assert.equal(rolledBack(three, id('s9'), layer('9')), undefined)
})
