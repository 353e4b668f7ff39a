import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeTpmState, encodeTpmState, slotOffset, TPM_VOLUME_BYTES } from './tpm-state.ts'

const write = (volume: Buffer, generation: number, text: string, bytes?: number) => {
  const encoded = encodeTpmState({ generation, content: Buffer.from(text) })
  assert.ok(encoded.ok)
  encoded.value.copy(volume, slotOffset(generation), 0, bytes)
}

test('an empty volume holds no state', () => {
  assert.equal(decodeTpmState(Buffer.alloc(TPM_VOLUME_BYTES)), undefined)
})

test('the newest state is read, and the one before it when a write was cut off', () => {
  const volume = Buffer.alloc(TPM_VOLUME_BYTES)
  write(volume, 1, 'one')
  write(volume, 2, 'two')
  assert.deepEqual(decodeTpmState(volume), { generation: 2, content: Buffer.from('two') })
  write(volume, 3, 'three', 512)
  assert.equal(decodeTpmState(volume)?.content.toString(), 'two')
  write(volume, 3, 'three')
  assert.equal(decodeTpmState(volume)?.content.toString(), 'three')
})

test('what does not fit is refused', () => {
  assert.equal(encodeTpmState({ generation: 1, content: Buffer.alloc(TPM_VOLUME_BYTES / 2) }).ok, false)
})
