import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeShellFrame, shellFrameReader, type ShellFrame } from './shell-frames.ts'

const FRAMES: readonly ShellFrame[] = [
  { kind: 'size', size: { columns: 213, rows: 58 } },
  { kind: 'bytes', bytes: Buffer.from('stty size\r') },
  { kind: 'bytes', bytes: Buffer.alloc(5_000, 7) },
  { kind: 'exit', code: 137 },
]

test('frames arrive as they were sent, in whatever pieces', () => {
  const sent = Buffer.concat(FRAMES.map(encodeShellFrame))
  for (const pieceBytes of [1, 7, 4096, sent.length]) {
    const read = shellFrameReader()
    const arrived: ShellFrame[] = []
    for (let at = 0; at < sent.length; at += pieceBytes) arrived.push(...read(sent.subarray(at, at + pieceBytes)))
    assert.deepEqual(arrived, FRAMES, `in pieces of ${pieceBytes}`)
  }
})

test('what is no frame ends the reading instead of filling the memory', () => {
  assert.throws(() => shellFrameReader()(Buffer.from('HTTP/1.1 200 OK')), /too long/)
  assert.throws(() => shellFrameReader()(Buffer.from([9, 0, 0, 0, 0])), /no frame of kind 9/)
  assert.throws(() => shellFrameReader()(Buffer.from([1, 0, 0, 0, 1, 80])), /no frame of kind 1 and 1 bytes/)
})

test('a terminal has at least one column and row', () => {
  const [frame] = shellFrameReader()(encodeShellFrame({ kind: 'size', size: { columns: 0, rows: 60_000 } }))
  assert.deepEqual(frame, { kind: 'size', size: { columns: 1, rows: 1_000 } })
})
