import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defaultCpusMax, growthOf, promisedTo, withSize } from './growth.ts'
import type { Guest } from './guest.ts'

const GIB = 2 ** 30
const guest = { name: 'web', memoryBytes: 4 * GIB, cpus: 4, cpusMax: 8, memoryMaxBytes: 8 * GIB } as Guest

describe('growth', () => {
  it('has places for more processors by default, unless they are bound to those of the host', () => {
    assert.equal(defaultCpusMax({ cpus: 1 }), 4)
    assert.equal(defaultCpusMax({ cpus: 8 }), 16)
    assert.equal(defaultCpusMax({ cpus: 32 }), 32)
    assert.equal(defaultCpusMax({ cpus: 2, platform: { dedicatedCpus: true } }), undefined)
  })

  it('starts a guest without maxima as ever, and one that has outgrown them with what it has', () => {
    assert.deepEqual(growthOf({ ...guest, cpus: 12 }), { cpusMax: 12, memoryMaxBytes: 8 * GIB })
    const { cpusMax: _c, memoryMaxBytes: _m, ...plain } = guest
    assert.deepEqual(growthOf(plain as Guest), {})
  })

  it('counts more at once, and less once it has been given back', () => {
    const grown = withSize(guest, { memoryBytes: 6 * GIB }, true)
    assert.deepEqual(promisedTo(grown, true), { memoryBytes: 6 * GIB, cpus: 4 })
    const shrunk = withSize(grown, { memoryBytes: 2 * GIB, cpus: 2 }, true)
    assert.deepEqual(promisedTo(shrunk, true), { memoryBytes: 6 * GIB, cpus: 4 })
    assert.deepEqual(promisedTo(shrunk, false), { memoryBytes: 2 * GIB, cpus: 2 }, 'another host starts it anew')
    const again = withSize(shrunk, { memoryBytes: 3 * GIB, cpus: 8 }, true)
    assert.deepEqual(promisedTo(again, true), { memoryBytes: 6 * GIB, cpus: 8 })
    assert.equal(withSize(again, { memoryBytes: 7 * GIB }, true).holds, undefined)
    assert.equal(withSize(shrunk, { cpus: 1 }, false).holds, undefined, 'a stopped guest holds nothing')
  })
})
