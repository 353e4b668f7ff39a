import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DroppedPackets } from './dropped-packets.ts'

const LINKS = ['lanbr0', 'st10', 'st11', 'st20']

test('what was dropped only grows, although the kernel counts anew with each limit', () => {
  const dropped = new DroppedPackets()
  const after = (...counted: readonly [string, number][]) => {
    dropped.note(new Map(counted), LINKS)
    return dropped.of(['st10', 'st11'])
  }
  assert.equal(after(['st10', 100], ['st11', 5], ['st20', 7]), 105)
  assert.equal(after(['st10', 130], ['st11', 5]), 135)
  // Another limit: its counter began at 0, and has dropped some since.
  assert.equal(after(['st10', 20], ['st11', 5]), 155)
  assert.equal(after(['st10', 25], ['st11', 5]), 160)
  // Its limit was lifted, and is given anew.
  assert.equal(after(['st11', 5]), 160)
  assert.equal(after(['st10', 30], ['st11', 5]), 190)
})

test('a port that is gone takes its count along', () => {
  const dropped = new DroppedPackets()
  const all = () => dropped.of(['st10'])
  dropped.note(new Map([['st10', 100]]), LINKS)
  dropped.note(new Map(), ['lanbr0'])
  assert.equal(all(), 0)
  dropped.note(new Map([['st10', 3]]), LINKS)
  assert.equal(all(), 3)
})
