import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { addNicChange, removeNicChange, setNicChange } from './hardware-changes.ts'

const guest = (nics: Guest['nics']): { value: Guest; revision: bigint } => ({
  value: {
    id: '2f0c5c0e-7a55-4f0e-8d6e-1f6d8f6f4b10' as GuestId,
    name: 'web',
    kind: 'vm',
    memoryBytes: 1,
    cpus: 1,
    boot: { kind: 'disk' },
    volumes: [],
    nics,
    ha: 'started',
    desired: 'running',
    forceStop: false,
    deleting: false,
    createdAt: 0,
  },
  revision: 1n,
})
const nicsAfter = (change: ReturnType<typeof addNicChange>) => {
  assert.ok(change.ok)
  const [write] = change.value.writes
  assert.ok(write?.kind === 'put')
  return (JSON.parse(write.value) as Guest).nics
}

describe('network cards of a guest', () => {
  const first = { mac: '52:54:00:00:00:01', network: 'lan' } as const
  const third = { mac: '52:54:00:00:00:03', network: 'lan', slot: 2 } as const

  it('keep their numbers when another one goes, and a new one gets the lowest that is free', () => {
    const known = guest([first, { ...third, slot: 1, mac: '52:54:00:00:00:02' }, third])
    const left = nicsAfter(removeNicChange(known, 0))
    assert.deepEqual(
      left.map(({ slot }) => slot),
      [1, 2],
    )
    const added = nicsAfter(addNicChange(guest(left), { limits: { sendBytesPerSecond: 1000 } }))
    assert.equal(added.at(-1)?.slot, 0)
    assert.equal(new Set(added.map(({ mac }) => mac)).size, 3)
  })

  it('are four at most, each with an address of its own', () => {
    const full = [0, 1, 2, 3].map((slot) => ({ ...first, slot, mac: `52:54:00:00:00:0${slot}` }))
    const refused = addNicChange(guest(full), {})
    assert.equal(refused.ok ? '' : refused.error.code, 'conflict')
    const twice = addNicChange(guest([first]), { mac: first.mac })
    assert.equal(twice.ok ? '' : twice.error.code, 'conflict')
  })

  it('lose all limits when none are given', () => {
    const limited = guest([{ ...first, limits: { sendBytesPerSecond: 1000 } }])
    assert.deepEqual(nicsAfter(setNicChange(limited, 0, { limits: {} })), [{ ...first, slot: 0 }])
    const unknown = setNicChange(limited, 3, { limits: {} })
    assert.equal(unknown.ok ? '' : unknown.error.code, 'not_found')
  })
})
