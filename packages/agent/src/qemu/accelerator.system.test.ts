import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bootTest, hasVirtualization } from './accelerator.ts'

describe('the choice of accelerator', () => {
  it('reads the processor flags as whole words', () => {
    assert.equal(hasVirtualization('flags\t\t: fpu vme svm sse'), true)
    assert.equal(hasVirtualization('flags\t\t: fpu vmx'), true)
    assert.equal(hasVirtualization('flags\t\t: fpu svm_lock sse'), false)
    assert.equal(hasVirtualization('model name\t: vmx maker\nflags\t\t: fpu'), false)
  })

  it('believes in a machine whose firmware runs, and in no other', async () => {
    assert.equal(await bootTest('tcg', {}), undefined)
    assert.match((await bootTest('tcg', { qemu: '/does/not/exist' })) ?? '', /ENOENT/)
    assert.equal(typeof (await bootTest('tcg', { qemu: 'false' })), 'string')
  })
})
