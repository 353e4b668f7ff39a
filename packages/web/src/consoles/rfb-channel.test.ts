import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RfbChannel } from './rfb-channel.ts'

test('noVNC is told once, and later, that its connection has ended, and sends nothing into it', async () => {
  const sent: Uint8Array[] = []
  const told: string[] = []
  const channel = new RfbChannel((bytes) => sent.push(bytes))
  channel.onmessage = ({ data }) => told.push(`took ${data.byteLength}`)
  channel.onclose = () => told.push('closed')
  channel.send(new Uint8Array([1]))
  // A view into a larger buffer: only what it shows is handed on.
  channel.take(new Uint8Array(new ArrayBuffer(64), 8, 3))
  channel.close()
  channel.close()
  channel.send(new Uint8Array([2]))
  assert.deepEqual(told, ['took 3'])
  await Promise.resolve()
  assert.deepEqual(told, ['took 3', 'closed'])
  assert.equal(sent.length, 1)
})
