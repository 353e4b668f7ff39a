import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOCK_BYTES as B, cut, normalizeRanges, totalLength } from './byte-ranges.ts'

test('ranges grow to blocks, are sorted and joined, and end with the volume', () => {
  const ranges = [
    { offset: 5 * B, length: B },
    { offset: B - 1, length: 2 },
    { offset: 4 * B, length: B },
    { offset: 9 * B + 1, length: 1 },
    { offset: 50 * B, length: B },
  ]
  assert.deepEqual(normalizeRanges(ranges, 9 * B + 512), [
    { offset: 0, length: 2 * B },
    { offset: 4 * B, length: 2 * B },
    { offset: 9 * B, length: 512 },
  ])
})

test('cutting keeps every byte once', () => {
  const pieces = [
    ...cut(
      [
        { offset: 10, length: 25 },
        { offset: 100, length: 10 },
      ],
      10,
    ),
  ]
  assert.deepEqual(pieces, [
    { offset: 10, length: 10 },
    { offset: 20, length: 10 },
    { offset: 30, length: 5 },
    { offset: 100, length: 10 },
  ])
  assert.equal(totalLength(pieces), 35)
})
