import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { Heartbeat } from '@stead/core/ha/heartbeat.ts'
import { decodeHeartbeat, encodeHeartbeat, HeartbeatReader, PacketKey } from './heartbeat-packet.ts'

const KEY = new PacketKey(Buffer.alloc(32, 7))
const HEARTBEAT: Heartbeat = {
  from: 'h1',
  bootId: 'b1',
  seq: 123_456,
  statements: new Map([
    ['h2', { silenceMs: 40, echoes: [{ seq: 99, bootTag: 'abcdefgh' }] }],
    ['h3', { silenceMs: -1, echoes: [] }],
  ]),
}

test('a heartbeat comes back as it was sent', () => {
  assert.deepEqual(decodeHeartbeat(encodeHeartbeat(HEARTBEAT, KEY), KEY), HEARTBEAT)
})

test('another key, a changed byte, a short or a malformed packet is dropped', () => {
  const packet = encodeHeartbeat(HEARTBEAT, KEY)
  assert.equal(decodeHeartbeat(packet, new PacketKey(Buffer.alloc(32, 8))), undefined)
  for (let at = 0; at < packet.length; at++) {
    const changed = Buffer.from(packet)
    changed[at]! ^= 1
    assert.equal(decodeHeartbeat(changed, KEY), undefined)
  }
  assert.equal(decodeHeartbeat(Buffer.alloc(5), KEY), undefined)
  assert.equal(decodeHeartbeat(Buffer.alloc(0), KEY), undefined)
})

test('the code is HMAC-SHA256', () => {
  for (const length of [16, 32, 64, 100]) {
    const key = Buffer.alloc(length, length)
    const body = Buffer.from('a heartbeat')
    assert.deepEqual(new PacketKey(key).code(body), createHmac('sha256', key).update(body).digest())
  }
})

test('copies of a packet on other networks give the same heartbeat; a forged one never does', () => {
  const reader = new HeartbeatReader([KEY])
  const packet = encodeHeartbeat(HEARTBEAT, KEY)
  assert.equal(reader.read(packet), reader.read(Buffer.from(packet)))
  const forged = Buffer.from(packet)
  forged[20]! ^= 1
  assert.equal(reader.read(forged), undefined)
})
