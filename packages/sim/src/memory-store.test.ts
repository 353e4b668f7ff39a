import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '@stead/core/ports/clock.ts'
import { storeContract } from './contract/store-contract.ts'
import { MemoryStoreServer } from './memory-store.ts'

/** Time moves only when the test says so. */
class ManualClock implements Clock {
  #now = 0
  #sleepers: { readonly at: number; readonly wake: () => void }[] = []

  monotonicMs(): number {
    return this.#now
  }
  wallMs(): number {
    return this.#now
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#sleepers.push({ at: this.#now + ms, wake: resolve })
      signal?.addEventListener('abort', () => resolve(), { once: true })
      if (signal?.aborted) resolve()
    })
  }
  async advance(ms: number): Promise<void> {
    this.#now += ms
    const due = this.#sleepers.filter((sleeper) => sleeper.at <= this.#now)
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.at > this.#now)
    for (const { wake } of due) wake()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

storeContract('memory store', async () => {
  const clock = new ManualClock()
  const server = new MemoryStoreServer(clock)
  return {
    prefix: '/t/',
    client: () => server.client(),
    observer: server.client(),
    passTime: (ms) => clock.advance(ms),
    close: async () => server.close(),
    faults: {
      breakConnections: async () => {
        const heal = server.breakWatches()
        return async () => heal()
      },
      loseAnswers: async () => {
        server.loseNextAnswer()
        return async () => {}
      },
      compact: async () => server.compact(),
    },
  }
})

test('a frozen memory store times out, and may commit late', async () => {
  const clock = new ManualClock()
  const server = new MemoryStoreServer(clock)
  const store = server.client()
  server.freeze()
  const reading = store.get('a')
  const writing = store.transact({ compares: [], writes: [{ kind: 'put', key: 'a', value: 'late' }] })
  await clock.advance(700)
  const written = await writing
  assert.equal(!written.ok && written.error.code, 'store_timeout')
  await clock.advance(2300)
  const read = await reading
  assert.equal(!read.ok && read.error.code, 'no_quorum')
  server.thaw()
  const after = await store.get('a')
  assert.equal(after.ok && after.value?.value, 'late')
  server.close()
})

test('a call that meets a short freeze is answered when it thaws', async () => {
  const clock = new ManualClock()
  const server = new MemoryStoreServer(clock)
  const store = server.client()
  server.freeze()
  const writing = store.transact({ compares: [], writes: [{ kind: 'put', key: 'a', value: 'x' }] })
  await clock.advance(100)
  server.thaw()
  const written = await writing
  assert.equal(written.ok && written.value.committed, true)
  server.close()
})

test('no lease expires while the memory store is frozen', async () => {
  const clock = new ManualClock()
  const server = new MemoryStoreServer(clock)
  const store = server.client()
  const lease = await store.grantLease(1000)
  assert.ok(lease.ok)
  await store.transact({ compares: [], writes: [{ kind: 'put', key: 'a', value: 'x', lease: lease.value }] })
  server.freeze()
  await clock.advance(5000)
  assert.notEqual(server.get('a'), undefined)
  server.thaw()
  await clock.advance(1)
  assert.equal(server.get('a'), undefined)
  server.close()
})
