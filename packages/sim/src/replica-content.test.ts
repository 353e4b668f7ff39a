import assert from 'node:assert/strict'
import { test } from 'node:test'
import { equalBlocks, ReplicaContent } from './replica-content.ts'

const BLOCK = 16

test('what was written is read, across blocks and with zeros around it', () => {
  const content = new ReplicaContent(4 * BLOCK, BLOCK)
  content.write(BLOCK - 2, Uint8Array.of(1, 2, 3, 4))
  assert.deepEqual([...content.slice(BLOCK - 3, BLOCK + 3)], [0, 1, 2, 3, 4, 0])
  assert.equal(content.slice(3 * BLOCK, 5 * BLOCK).length, BLOCK)
})

test('a loss of power undoes what was not flushed, and nothing else', () => {
  const content = new ReplicaContent(4 * BLOCK, BLOCK)
  content.write(0, Uint8Array.of(1))
  content.write(BLOCK, Uint8Array.of(1))
  content.flush()
  content.write(0, Uint8Array.of(2))
  content.write(BLOCK, Uint8Array.of(2))
  content.write(BLOCK, Uint8Array.of(3))
  assert.deepEqual([...content.flushedBlock(0)], [1])
  const kept = [false, true]
  content.losePower(() => kept.shift() ?? false)
  assert.deepEqual([content.block(0)[0], content.block(1)[0]], [1, 3])
})

test('blocks are equal but for zeros at the end', () => {
  assert.ok(equalBlocks(Uint8Array.of(1, 0, 0), Uint8Array.of(1)))
  assert.ok(!equalBlocks(Uint8Array.of(1, 0, 2), Uint8Array.of(1)))
})
