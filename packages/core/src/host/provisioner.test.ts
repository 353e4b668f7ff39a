import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { KEYS } from '../model/keys.ts'
import type { Transaction } from '../ports/store.ts'
import { ok } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { Provisioner } from './provisioner.ts'

/** A cluster with one new volume; `whileMaking` is what happens elsewhere while its replicas are made here. */
async function provision(cluster: ClusterFixture, whileMaking: () => void): Promise<readonly Transaction[]> {
  const written: Transaction[] = []
  const stop = new AbortController()
  const context = {
    mirror: { state: cluster.state, onChange: () => () => undefined },
    volumesOn: () => ({
      createReplica: async () => {
        whileMaking()
        return ok()
      },
    }),
    store: {
      transact: async (transaction: Transaction) => {
        written.push(transaction)
        return ok({ committed: true, revision: 1n })
      },
    },
    clock: { monotonicMs: () => 0, sleep: () => new Promise<void>((resolve) => setImmediate(resolve)) },
    log: { warn: () => undefined, error: assert.fail },
  } as unknown as HostContext
  const running = new Provisioner(context, () => true).run(stop.signal)
  for (let turns = 0; turns < 5; turns++) await new Promise<void>((resolve) => setImmediate(resolve))
  stop.abort()
  await running
  return written
}

function newVolume() {
  const cluster = new ClusterFixture()
  const { volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const set = (change: Partial<typeof volume>, revision: bigint) =>
    cluster.state.volumes.set(volume.id, { value: { ...volume, ready: false, ...change }, revision })
  set({}, 5n)
  return { cluster, volume, set }
}

test('a volume is ready once all its replicas are made', async () => {
  const { cluster, volume } = newVolume()
  const [transaction] = await provision(cluster, () => undefined)
  assert.deepEqual(transaction?.compares, [{ key: KEYS.volume(volume.id), modRevision: 5n }])
  assert.deepEqual(
    transaction?.writes.map((write) => write.kind === 'put' && (JSON.parse(write.value) as { ready: boolean }).ready),
    [true],
  )
})

test('one that another coordinator has made meanwhile is left as that one, and its guest, have written it', async () => {
  const { cluster, set } = newVolume()
  const stale = { sinceEpoch: 1, since: 0, reason: 'h2 did not answer', cause: 'leg-lost' } as const
  const replicas = [
    { host: 'h1', pool: 'default', state: 'in-sync' },
    { host: 'h2', pool: 'default', state: 'stale', stale },
  ] as never
  assert.deepEqual(await provision(cluster, () => set({ ready: true, replicas }, 9n)), [])
})
