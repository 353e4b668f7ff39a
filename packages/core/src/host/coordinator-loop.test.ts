import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Transaction } from '../ports/store.ts'
import { ok } from '../result.ts'
import { CoordinatorLoop, type CoordinatorLoopOptions } from './coordinator-loop.ts'

const h1 = 'h1' as HostId
const web = 'guest-web' as GuestId
const GRANT = KEYS.grant(web)

/** The loop of h1 over a copy of the records that the test keeps, and a store that takes everything at `revision`. */
class LoopHarness {
  readonly cluster = new ClusterFixture()
  readonly written: Transaction[] = []
  readonly mirror = { state: this.cluster.state, loaded: true, revision: 20n, onChange: () => () => undefined }
  revision = 30n

  constructor() {
    const settings = { id: 'c', name: 'c', detectionMs: 1_000, heartbeatIntervalMs: 100, leaseTtlMs: 3_000 }
    this.cluster.state.settings = { value: { ...settings, createdAt: 0 }, revision: 1n }
    this.cluster.guestWithDisk('web', ['h1', 'h2'])
  }

  claimed(revision: bigint): void {
    this.cluster.state.coordinator = { value: { host: h1, term: 1 }, revision }
  }

  /** Claims and grants of all transactions so far, by key, after the loop has had some looks at the cluster. */
  async looks(): Promise<readonly string[]> {
    const stop = new AbortController()
    const running = this.#loop.run(stop.signal)
    for (let turns = 0; turns < 10; turns++) await new Promise<void>((resolve) => setImmediate(resolve))
    stop.abort('enough')
    await running
    const keys = this.written.flatMap(({ writes }) => writes.map((write) => (write.kind === 'put' ? write.key : '')))
    return keys.filter((key) => key === KEYS.coordinator || key === GRANT)
  }

  readonly #loop = new CoordinatorLoop({
    self: h1,
    mirror: this.mirror,
    detectionMs: 1_000,
    store: {
      transact: async (transaction: Transaction) => {
        this.written.push(transaction)
        return ok({ committed: true, revision: this.revision })
      },
    },
    fence: {
      view: () => ({ peers: { h2: heard('h2'), h3: heard('h3') }, at: 0, startedMs: 9_000, observingMs: 9_000 }),
      subscribe: () => () => undefined,
    },
    events: { tell: () => undefined, writesFor: () => [] },
    clock: {
      monotonicMs: () => 0,
      wallMs: () => 0,
      sleep: () => new Promise<void>((resolve) => setImmediate(resolve)),
    },
    log: { debug: () => undefined, error: assert.fail },
  } as unknown as CoordinatorLoopOptions)
}

function heard(host: string) {
  return { ageMs: { lan: 10 }, bootId: `boot-${host}-1`, hears: {} }
}

test('what it has committed is not decided again before its own copy of the records holds it', async () => {
  const harness = new LoopHarness()
  harness.claimed(10n)
  assert.deepEqual(await harness.looks(), [GRANT])
  harness.mirror.revision = 29n
  assert.deepEqual(await harness.looks(), [GRANT])
})

test('a new coordinator decides once its copy holds all that the one before it has done', async () => {
  const harness = new LoopHarness()
  assert.deepEqual(await harness.looks(), [KEYS.coordinator])
  harness.claimed(30n)
  harness.mirror.revision = 29n
  assert.deepEqual(await harness.looks(), [KEYS.coordinator])
  harness.cluster.grant(harness.cluster.state.guests.get(web)!.value, 'h2')
  harness.mirror.revision = 30n
  assert.deepEqual(await harness.looks(), [KEYS.coordinator])
})
