import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import { LeaseKeeper } from '@stead/core/host/lease-keeper.ts'
import type { LeaseId, Store, StoreEntry } from '@stead/core/ports/store.ts'
import { fail, ok } from '@stead/core/result.ts'
import { lineLog } from './line-log.ts'
import { realClock } from '../real-clock.ts'

/** A store with one key and one lease, whose faults are switched by hand. */
class OneLeaseStore {
  entry: StoreEntry | undefined
  lease: LeaseId = 0n
  grants = 0
  down = false
  noQuorum = false
  readonly #refused = fail(failure('no_quorum', 'down'))

  get store(): Store {
    return {
      grantLease: async () => {
        if (this.down) return this.#refused
        this.grants++
        this.lease = BigInt(this.grants)
        return ok(this.lease)
      },
      keepLease: async (lease: LeaseId) => (this.down ? this.#refused : ok(lease === this.lease ? 300 : 0)),
      get: async () => (this.down || this.noQuorum ? this.#refused : ok(this.entry)),
      transact: async ({ writes }: { writes: readonly { kind: string; key?: string; value?: string }[] }) => {
        if (this.down || this.noQuorum) return this.#refused
        const [write] = writes
        this.entry = { key: write?.key ?? '', value: write?.value ?? '', createRevision: 1n, modRevision: 1n }
        return ok({ committed: true, revision: 1n })
      },
    } as unknown as Store
  }
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'did not come true in time')
    await realClock.sleep(5)
  }
}

async function withKeeper(work: (fake: OneLeaseStore, keeper: LeaseKeeper) => Promise<void>): Promise<void> {
  const fake = new OneLeaseStore()
  const log = lineLog(() => {})
  const keeper = new LeaseKeeper({ store: fake.store, clock: realClock, log, ttlMs: 300, key: '/k', bootId: 'b1' })
  keeper.start()
  try {
    await work(fake, keeper)
  } finally {
    await keeper.stop()
  }
}

test('takes a lease, writes the key, renews', async () => {
  await withKeeper(async (fake, keeper) => {
    await until(() => keeper.sentAt !== undefined)
    assert.equal(fake.entry?.value, '{"bootId":"b1"}')
    const first = keeper.sentAt!
    await until(() => keeper.sentAt! > first)
    assert.equal(fake.grants, 1)
  })
})

test('a lost lease is replaced, a deleted key written again', async () => {
  await withKeeper(async (fake, keeper) => {
    await until(() => keeper.sentAt !== undefined)
    fake.lease = 99n
    fake.entry = undefined
    await until(() => fake.grants === 2 && fake.entry !== undefined)
    fake.entry = undefined
    await until(() => fake.entry !== undefined)
    assert.equal(fake.grants, 2)
  })
})

test('a keepalive without a quorum behind it is no evidence', async () => {
  await withKeeper(async (fake, keeper) => {
    await until(() => keeper.sentAt !== undefined)
    fake.noQuorum = true
    const cutAt = realClock.monotonicMs()
    await realClock.sleep(400)
    assert.ok(keeper.sentAt! <= cutAt)
    fake.noQuorum = false
    await until(() => keeper.sentAt! > cutAt)
  })
})
