import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defaultCpusMax, growthOf, promisedTo, withSize } from './growth.ts'
import type { ContainerLimits } from './container-limits.ts'
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

  it('counts of a container what its own limits let it take', () => {
    const of = (limits: ContainerLimits) => {
      const container = { template: 't', system: { haltSignal: 'SIGPWR' }, idBase: 1_000_000, limits }
      return promisedTo({ name: 'ct', memoryBytes: GIB, cpus: 2, container } as unknown as Guest, true)
    }
    assert.deepEqual(of({}), { memoryBytes: GIB, cpus: 2 })
    assert.deepEqual(of({ physpages: { limit: (4 * GIB) / 4096 } }), { memoryBytes: 4 * GIB, cpus: 2 })
    assert.deepEqual(of({ physpages: { limit: GIB / 8192 } }), { memoryBytes: GIB / 2, cpus: 2 })
    assert.deepEqual(of({ cpus: { limit: 6 } }), { memoryBytes: GIB, cpus: 6 })
    assert.deepEqual(of({ cpulimit: { limit: 50 } }), { memoryBytes: GIB, cpus: 1 })
    assert.deepEqual(of({ cpus: {}, cpulimit: { limit: 450 } }), { memoryBytes: GIB, cpus: 5 })
    assert.deepEqual(of({ physpages: {}, cpus: {} }), { memoryBytes: GIB, cpus: 2 }, 'nothing bounds it: its size')
  })
})
