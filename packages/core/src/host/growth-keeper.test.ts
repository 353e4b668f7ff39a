import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Guest } from '../model/guest.ts'
import type { GuestId } from '../model/ids.ts'
import type { HardwareFacts } from '../ports/guest-hardware.ts'
import type { GuestHost } from '../ports/guest-host.ts'
import { ok } from '../result.ts'
import { atNextStart, balloonWork, hasGivenBack, sizeWork } from './growth-keeper.ts'

const MIB = 2 ** 20
const guest = { id: 'g' as GuestId, name: 'web', memoryBytes: 256 * MIB, cpus: 2 } as Guest
const facts: HardwareFacts = {
  ...{ hotPlug: true, disks: [], nics: [], cpus: 2, cpusMin: 1, cpusMax: 4, balloonBytes: 256 * MIB },
  ...{ memoryBytes: 256 * MIB, memoryMinBytes: 256 * MIB, memoryMaxBytes: 512 * MIB },
}
const fixed: HardwareFacts = { ...facts, cpusMin: 2, cpusMax: 2, memoryMaxBytes: 256 * MIB }

/** What is asked of the host, in order. */
async function asked(wish: Partial<Guest>, found = facts): Promise<string[]> {
  const calls: string[] = []
  const note = (name: string) => async (_guest: GuestId, value: number | undefined) => {
    calls.push(`${name} ${value === undefined || value < MIB ? value : value / MIB}`)
    return ok()
  }
  const host = { setCpus: note('cpus'), setMemory: note('memory'), setBalloon: note('balloon') } as unknown as GuestHost
  const wanted = { ...guest, ...wish }
  for (const { run } of [...sizeWork(host, wanted, found), ...balloonWork(host, wanted, found)]) await run()
  return calls
}
const later = (wish: Partial<Guest>, found = facts) =>
  atNextStart({ ...guest, ...wish }, found).map(({ what, why }) => `${what}: ${why}`)

describe('growth keeper', () => {
  it('has nothing to do for a guest that is as it should be', async () => {
    assert.deepEqual(await asked({}), [])
    assert.deepEqual(await asked({ memoryBytes: 259 * MIB }), [], 'less than a step')
    assert.deepEqual(later({}), [])
  })

  it('goes as far as the run allows and leaves the rest to the next start', async () => {
    assert.deepEqual(await asked({ cpus: 3, memoryBytes: 384 * MIB }), ['cpus 3', 'memory 384'])
    assert.deepEqual(await asked({ cpus: 9, memoryBytes: 1024 * MIB }), ['cpus 4', 'memory 512'])
    assert.deepEqual(later({ cpus: 9, memoryBytes: 1024 * MIB }), [
      'memory: it runs with 256 MiB; the change takes effect at its next start',
      'cpus: it runs with 2; the change takes effect at its next start',
    ])
    assert.deepEqual(later({ memoryBytes: 128 * MIB }).length, 1, 'what it booted with stays')
  })

  it('asks nothing of a guest that was started without room', async () => {
    const { balloonBytes: _none, ...bare } = fixed
    assert.deepEqual(await asked({ cpus: 3, memoryBytes: 512 * MIB, balloonBytes: 128 * MIB }, bare), [])
    assert.equal(later({ cpus: 3, memoryBytes: 512 * MIB, balloonBytes: 128 * MIB }, bare).length, 3)
  })

  it('leaves whether a container may nest to its next start', () => {
    const container = { nesting: false } as NonNullable<HardwareFacts['container']>
    const { balloonBytes: _none, ...bare } = facts
    const wish = (nesting: boolean) => ({ container: { ...(nesting ? { nesting } : {}) } }) as Partial<Guest>
    assert.deepEqual(later(wish(false), { ...bare, container }), [])
    assert.deepEqual(later(wish(true), { ...bare, container }), [
      'nesting: it was started without it; the change takes effect at its next start',
    ])
  })

  it('measures the balloon against all that the guest has', async () => {
    assert.deepEqual(await asked({ balloonBytes: 128 * MIB }), ['balloon 128'])
    const grown = { ...facts, memoryBytes: 512 * MIB, balloonBytes: 384 * MIB }
    const wish = { memoryBytes: 512 * MIB }
    assert.deepEqual(await asked(wish, grown), ['balloon undefined'])
    assert.deepEqual(await asked({ ...wish, balloonBytes: 384 * MIB }, grown), [])
    assert.deepEqual(await asked({ ...wish, balloonBytes: 2048 * MIB }, grown), ['balloon undefined'])
  })

  it('knows when all was given back', () => {
    const holds = { memoryBytes: 512 * MIB, cpus: 4 }
    assert.equal(hasGivenBack(guest, facts), false, 'it holds nothing')
    assert.equal(hasGivenBack({ ...guest, holds }, facts), true)
    assert.equal(hasGivenBack({ ...guest, holds }, { ...facts, cpus: 3 }), false)
    assert.equal(hasGivenBack({ ...guest, holds }, { ...facts, memoryBytes: 300 * MIB }), false)
  })
})
