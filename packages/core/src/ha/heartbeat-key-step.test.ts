import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FIRST_HEARTBEAT_KEY, type HeartbeatKey } from '../model/heartbeat-key.ts'
import type { Host } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import { heartbeatKeyStep, WAIT_WITHOUT_LEASE_MS, type HeartbeatKeyInput } from './heartbeat-key-step.ts'

const [h1, h2, h3] = ['h1', 'h2', 'h3'] as [HostId, HostId, HostId]
const NOW = 1_000_000

/** `have`: the generation that each host's guardian says to have. */
function input(
  key: Partial<HeartbeatKey> | undefined,
  have: Readonly<Record<string, number>> = {},
  more: Partial<HeartbeatKeyInput> = {},
): HeartbeatKeyInput {
  const hosts = Object.entries(have).map(
    ([id, heartbeatKey]) => [id as HostId, { value: { heartbeatKey } as Host, revision: 1n }] as const,
  )
  const value = { ...FIRST_HEARTBEAT_KEY, ...key }
  return {
    state: { hosts: new Map(hosts), ...(key ? { heartbeatKey: { value, revision: 1n } } : {}) },
    ...{ members: [h1, h2, h3], canReceive: () => true, leaselessSince: () => undefined, now: NOW },
    ...more,
  }
}

test('without a removal there is nothing to do', () => {
  assert.deepEqual(heartbeatKeyStep(input(undefined)), { kind: 'none' })
  assert.deepEqual(heartbeatKeyStep(input({ generation: 3 })), { kind: 'none' })
})

test('a removal makes one, once every host that is left can be given it, dead ones too', () => {
  assert.deepEqual(heartbeatKeyStep(input({ due: [h1] })), { kind: 'make' })
  const older = { canReceive: (host: HostId) => host !== h3, leaselessSince: () => 0 }
  assert.deepEqual(heartbeatKeyStep(input({ due: [h1] }, {}, older)), { kind: 'wait', for: [h3] })
})

test('the former one counts until every host has the new one', () => {
  const spreading = { generation: 2, formerCounts: true }
  assert.deepEqual(heartbeatKeyStep(input(spreading, { h1: 2, h2: 1 })), { kind: 'wait', for: [h2, h3] })
  assert.deepEqual(heartbeatKeyStep(input(spreading, { h1: 2, h2: 2, h3: 2 })), { kind: 'drop-former' })
})

test('a host without a lease is waited for a minute', () => {
  const spreading = { generation: 1, formerCounts: true }
  const since = (ms: number) => ({ leaselessSince: (host: HostId) => (host === h3 ? NOW - ms : undefined) })
  const have = { h1: 1, h2: 1, h3: 0 }
  assert.deepEqual(heartbeatKeyStep(input(spreading, have, since(WAIT_WITHOUT_LEASE_MS - 1))), {
    kind: 'wait',
    for: [h3],
  })
  assert.deepEqual(heartbeatKeyStep(input(spreading, have, since(WAIT_WITHOUT_LEASE_MS))), { kind: 'drop-former' })
})

test('a second removal waits until the first has been done with', () => {
  const both = { generation: 1, formerCounts: true, due: [h2] }
  const members = [h1, h3]
  assert.deepEqual(heartbeatKeyStep(input(both, { h1: 1 }, { members })), { kind: 'wait', for: [h3] })
  assert.deepEqual(heartbeatKeyStep(input(both, { h1: 1, h3: 1 }, { members })), { kind: 'drop-former' })
})
