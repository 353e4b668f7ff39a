import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import type { AgentConfig } from './config.ts'
import { realClock, realRandom } from './real-clock.ts'
import { register } from './registration.ts'

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log }
const h1 = 'h1' as HostId
const config = {
  hostId: 'h1',
  role: 'compute',
  order: 1,
  addresses: {},
  agentPort: 8444,
  pools: [],
  capacity: { cpuCount: 1, memoryBytes: 1 },
} as unknown as AgentConfig

async function boot(store: Store, bootId: string): Promise<void> {
  const events = new EventWriter({ store, clock: realClock, host: h1, bootId, log })
  const registration = { config, bootId, accelerator: 'tcg' as const, store, events, log }
  await register({ ...registration, clock: realClock, random: realRandom }, new AbortController().signal)
}

async function policyAfter(store: Store): Promise<unknown> {
  const entry = await store.get(KEYS.policy(h1))
  return entry.ok && entry.value && JSON.parse(entry.value.value)
}

test('a new boot ends the shutdown of the host and nothing else; a restarted agent does not', async (context) => {
  const server = new MemoryStoreServer(realClock)
  context.after(() => server.close())
  const store = server.client()
  const policy = { maintenance: true, shutdown: 'reboot', faultDomains: { rack: 'r1' } }
  await boot(store, 'boot-1')
  await store.transact({
    compares: [],
    writes: [{ kind: 'put', key: KEYS.policy(h1), value: JSON.stringify(policy) }],
  })
  await boot(store, 'boot-1')
  assert.deepEqual(await policyAfter(store), policy)
  await boot(store, 'boot-2')
  assert.deepEqual(await policyAfter(store), { maintenance: true, faultDomains: { rack: 'r1' } })
})
