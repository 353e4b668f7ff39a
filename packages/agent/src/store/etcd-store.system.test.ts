import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { storeContract } from '@stead/sim/contract/store-contract.ts'
import type { StoreFixture } from '@stead/sim/contract/store-contract.ts'
import { EtcdCluster, etcdStatus } from './etcd-cluster.ts'
import { EtcdStore } from './etcd-store.ts'
import { realClock as clock } from '../real-clock.ts'
import { EtcdTestbed, silentLog as log } from './etcd-testbed.ts'

/** Not in a `before`: where a name chosen is of none of these tests, Node runs `after` while `before` still works. */
const testbed = await EtcdTestbed.start()
after(() => testbed.stop())
let testsMade = 0

function directAddresses(): string[] {
  return testbed.members.map((member) => member.address)
}

async function makeFixture(): Promise<StoreFixture> {
  testsMade += 1
  const stores: EtcdStore[] = []
  const open = (endpoints: string[]) => {
    const store = new EtcdStore({ endpoints, clock, log })
    stores.push(store)
    return store
  }
  return {
    prefix: `/test${testsMade}/`,
    client: () => open(testbed.proxies.map((proxy) => proxy.address)),
    observer: open(directAddresses().toReversed()),
    passTime: (ms) => clock.sleep(ms),
    close: async () => {
      await Promise.all(stores.map((store) => store.close()))
      await testbed.restore()
    },
    faults: {
      breakConnections: async () => {
        for (const proxy of testbed.proxies) proxy.cut()
        return async () => testbed.proxies.forEach((proxy) => proxy.heal())
      },
      freezeServer: async () => {
        const [nearest] = testbed.members
        nearest?.freeze()
        return async () => nearest?.thaw()
      },
      killLeader: async () => {
        const leader = await testbed.leader()
        await leader.kill()
        return async () => leader.start()
      },
      loseAnswers: async () => {
        for (const proxy of testbed.proxies) proxy.swallowAnswers()
        return async () => testbed.proxies.forEach((proxy) => proxy.heal())
      },
      compact: async () => {
        const cluster = new EtcdCluster({ endpoints: directAddresses(), clock, log })
        const status = await etcdStatus(directAddresses()[0] ?? '', { clock, log })
        assert.ok(status.ok)
        const compacted = await cluster.compact(status.value.revision)
        assert.ok(compacted.ok, compacted.ok ? '' : compacted.error.message)
        await cluster.close()
      },
    },
  }
}

storeContract('etcd store', makeFixture)

/** Waits, bounded, until the condition holds. */
async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `not seen in time: ${what}`)
    await clock.sleep(20)
  }
}

test(
  'etcd store: without a quorum every call says so, and works again when the quorum is back',
  { timeout: 60_000 },
  async () => {
    const store = new EtcdStore({ endpoints: directAddresses(), clock, log })
    try {
      await Promise.all(testbed.members.slice(1).map((member) => member.kill()))
      const create = { compares: [], writes: [{ kind: 'put', key: '/quorum/a', value: 'x' } as const] }
      // Until the survivor notices the loss, a transaction's outcome is unknown.
      await eventually('no_quorum', async () => {
        const written = await store.transact(create)
        assert.equal(written.ok, false)
        return !written.ok && written.error.code === 'no_quorum'
      })
      const read = await store.get('/quorum/a')
      assert.equal(!read.ok && read.error.code, 'no_quorum')
      const kept = await store.keepLease(1n)
      assert.equal(!kept.ok && kept.error.code, 'no_quorum')
      for (const member of testbed.members) member.start()
      await eventually('a write', async () => (await store.transact(create)).ok)
    } finally {
      await store.close()
      await testbed.restore()
    }
  },
)

test('etcd store: returns to the local member after it heals', { timeout: 60_000 }, async () => {
  const [local, ...others] = testbed.proxies
  const store = new EtcdStore({ endpoints: testbed.proxies.map((proxy) => proxy.address), clock, log })
  try {
    local?.cut()
    assert.equal((await store.get('/local/a')).ok, true, 'another member answers')
    local?.heal()
    // With the others cut off, a read succeeds on the local member alone.
    for (const proxy of others) proxy.cut()
    await eventually('the local member', async () => (await store.get('/local/a')).ok)
  } finally {
    await store.close()
    await testbed.restore()
  }
})

test('etcd store: a connection that died without a word is replaced', { timeout: 60_000 }, async () => {
  const [proxy] = testbed.proxies
  const store = new EtcdStore({ endpoints: [proxy?.address ?? ''], clock, log })
  const stop = new AbortController()
  try {
    const batches = store.watch('/stall/', stop.signal)[Symbol.asyncIterator]()
    assert.equal((await batches.next()).value?.kind, 'resync')
    proxy?.stallConnections()
    const batch = batches.next()
    const create = { compares: [], writes: [{ kind: 'put', key: '/stall/a', value: 'x' } as const] }
    await eventually('a write', async () => (await store.transact(create)).ok)
    assert.equal((await batch).value?.kind, 'changes')
  } finally {
    stop.abort()
    await store.close()
    await testbed.restore()
  }
})

test('etcd store: a request that etcd finds too large is refused', async () => {
  const store = new EtcdStore({ endpoints: directAddresses(), clock, log })
  try {
    const value = 'x'.repeat(3 * 1024 * 1024)
    const answer = await store.transact({ compares: [], writes: [{ kind: 'put', key: '/large/a', value }] })
    assert.equal(!answer.ok && answer.error.code, 'bad_request')
  } finally {
    await store.close()
  }
})

test('etcd store: a revision larger than one answer arrives in one batch', { timeout: 60_000 }, async () => {
  const store = new EtcdStore({ endpoints: directAddresses(), clock, log })
  const stop = new AbortController()
  try {
    const batches = store.watch('/fragment/', stop.signal)[Symbol.asyncIterator]()
    const first = await batches.next()
    assert.equal(first.value?.kind, 'resync')
    // etcd splits a watch's answer at its request limit of 1.5 MiB; deletions are small, so puts fill it.
    const key = (i: number) => `/fragment/${i}`
    const value = 'x'.repeat(14_000)
    const writes = Array.from({ length: 100 }, (_, i) => ({ kind: 'put', key: key(i), value }) as const)
    assert.equal((await store.transact({ compares: [], writes })).ok, true)
    const second = await batches.next()
    assert.equal(second.value?.kind === 'changes' && second.value.changes.length, writes.length)
  } finally {
    stop.abort()
    await store.close()
  }
})

test('etcd cluster: lists its members and says who leads', async () => {
  const cluster = new EtcdCluster({ endpoints: directAddresses(), clock, log })
  try {
    const members = await cluster.memberList()
    assert.ok(members.ok)
    assert.deepEqual(members.value.map((member) => member.name).toSorted(), ['m0', 'm1', 'm2'])
    const status = await etcdStatus(directAddresses()[0] ?? '', { clock, log })
    assert.ok(status.ok)
    assert.ok(members.value.some((member) => member.id === status.value.leader))
    assert.ok(status.value.raftTerm > 0n)
  } finally {
    await cluster.close()
  }
})

test('etcd cluster: a learner is added, seen and removed', async () => {
  const cluster = new EtcdCluster({ endpoints: directAddresses(), clock, log })
  try {
    // etcd refuses a new member until all members have been connected for 5 s.
    let added = await cluster.memberAdd(['http://127.0.0.1:1'], { learner: true })
    await eventually('a healthy cluster', async () => {
      if (!added.ok) added = await cluster.memberAdd(['http://127.0.0.1:1'], { learner: true })
      return added.ok
    })
    assert.ok(added.ok)
    const promoted = await cluster.memberPromote(added.value.id)
    assert.equal(!promoted.ok && promoted.error.code, 'conflict', 'it never started')
    const removed = await cluster.memberRemove(added.value.id)
    assert.ok(removed.ok, removed.ok ? '' : removed.error.message)
    const members = await cluster.memberList()
    assert.equal(members.ok && members.value.length, 3)
  } finally {
    await cluster.close()
  }
})
