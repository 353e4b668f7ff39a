/** What a follower has put together is what a list shows, whatever happens and whichever host it follows. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveBatch } from '@stead/api/endpoints/live-views.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { PREFIX, KEYS } from '@stead/core/model/keys.ts'
import { SeededRandom } from '@stead/sim/seeded-random.ts'
import { TestBackend } from './backend-fixture.ts'

const HOSTS = ['h1', 'h2', 'h3'] as const
const USER: Principal = { kind: 'user', name: 'alice' }

/** A client that follows: what it knows, and where it would go on. */
class LiveClient {
  readonly known = new Map<string, object>()
  since: string | undefined
  readonly batches: LiveBatch[] = []
  isOver = false
  #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()

  async follow(backend: TestBackend, query: object = {}, principal?: Principal): Promise<void> {
    await this.stop()
    this.#stop = new AbortController()
    this.isOver = false
    const goOn = this.since === undefined ? {} : { since: this.since }
    const request = { signal: this.#stop.signal, ...(principal ? { principal } : {}) }
    const answer = await backend.call('view.list', { query: { follow: true, ...goOn, ...query } }, request)
    assert.ok(answer.ok, JSON.stringify(answer))
    this.#running = this.#take(answer.value as unknown as AsyncIterable<LiveBatch>)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #take(stream: AsyncIterable<LiveBatch>): Promise<void> {
    for await (const batch of stream) {
      this.batches.push(batch)
      this.since = batch.id
      if (batch.reset) this.known.clear()
      for (const { kind, id, view } of batch.changes) {
        if (view === null) this.known.delete(`${kind}/${id}`)
        else this.known.set(`${kind}/${id}`, view)
      }
    }
    this.isOver = true
  }
}

/** As the other endpoints show it. */
async function listed(backend: TestBackend): Promise<Map<string, object>> {
  const named = async (kind: string, id: 'guest.list' | 'host.list' | 'volume.list' | 'operation.list') => {
    const { items } = await backend.must(id)
    return (items as { id?: string; name: string }[]).map((view) => [`${kind}/${view.id ?? view.name}`, view] as const)
  }
  return new Map<string, object>([
    ['cluster/cluster', await backend.must('cluster.show')],
    ...(await named('guest', 'guest.list')),
    ...(await named('host', 'host.list')),
    ...(await named('volume', 'volume.list')),
    ...(await named('operation', 'operation.list')),
  ])
}

const sorted = (views: ReadonlyMap<string, object>) => [...views].toSorted(([a], [b]) => (a < b ? -1 : 1))

async function comesTrue(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await isTrue()); await sleep(20))
    assert.ok(performance.now() < deadline, what)
}

async function agrees(client: LiveClient, backend: TestBackend): Promise<void> {
  const same = async () => JSON.stringify(sorted(client.known)) === JSON.stringify(sorted(await listed(backend)))
  await comesTrue(same, 'what was followed is not what is listed')
}

function cluster(): ClusterFixture {
  const fixture = new ClusterFixture(3)
  for (const name of ['web', 'db']) {
    const { guest } = fixture.guestWithDisk(name, ['h1', 'h2'])
    fixture.grant(guest, 'h1')
    fixture.observe(guest, {})
  }
  return fixture
}

/** One change of the records, as somebody might make it. */
async function change(fixture: ClusterFixture, backend: TestBackend, random: SeededRandom): Promise<void> {
  const { state } = fixture
  const pick = <T>(items: readonly T[]) => items[Math.floor(random.fraction() * items.length)]!
  const remove = async (key: string) => {
    const done = await backend.store.transact({ compares: [], writes: [{ kind: 'delete', key }] })
    assert.ok(done.ok)
  }
  const guest = pick([...state.guests.values()]).value
  const host = pick(HOSTS)
  switch (Math.floor(random.fraction() * 8)) {
    case 0: {
      const made = fixture.guestWithDisk(`g${random.uuid().slice(0, 8)}`, [host])
      await backend.put(KEYS.volume(made.volume.id), made.volume)
      return backend.put(KEYS.guest(made.guest.id), made.guest)
    }
    case 1:
      if (state.guests.size < 2) return
      state.guests.delete(guest.id)
      await remove(KEYS.guest(guest.id))
      for (const id of guest.volumes) await remove(KEYS.volume(id))
      return
    case 2:
      return backend.put(KEYS.grant(guest.id), fixture.grant(guest, host, { epoch: 2 }))
    case 3:
      fixture.observe(guest, { phase: pick(['starting', 'running', 'paused']), reason: random.uuid() })
      return backend.put(KEYS.observation(guest.id), state.observations.get(guest.id)!.value)
    case 4: {
      const lost = random.fraction() < 0.5 ? 'lost' : 'online'
      const status = { state: lost, bootId: `boot-${host}-1`, since: 0, reason: 'power' }
      return backend.put(KEYS.status(host as HostId), status)
    }
    case 5: {
      const volume = pick([...state.volumes.values()]).value
      const stale = { sinceEpoch: 1, since: 1, reason: 'cut', cause: 'leg-lost' }
      const replicas = volume.replicas.map((replica, index) =>
        index === 1 && random.fraction() < 0.5 ? { ...replica, state: 'stale', stale } : replica,
      )
      return state.guests.has(volume.guest) ? backend.put(KEYS.volume(volume.id), { ...volume, replicas }) : undefined
    }
    case 6:
      return backend.put(KEYS.policy(host as HostId), { maintenance: random.fraction() < 0.5 })
    default: {
      const name = `n${random.uuid().slice(0, 8)}`
      state.guests.set(guest.id, { value: { ...guest, name }, revision: 1n })
      return backend.put(KEYS.guest(guest.id), { ...guest, name })
    }
  }
}

async function withClient(context: TestContext, use: (client: LiveClient) => Promise<void>): Promise<void> {
  const client = new LiveClient()
  context.after(() => client.stop())
  await use(client)
}

describe('live views', () => {
  for (const seed of [1, 2, 3])
    it(`follow random changes, on this host and that (seed ${seed})`, (context) =>
      withClient(context, async (client) => {
        const fixture = cluster()
        const first = await TestBackend.start(context, fixture)
        const hosts = [first, await first.onHost(context, 'h2')]
        const random = new SeededRandom(seed)
        for (let round = 0; round < 6; round++) {
          const backend = hosts[round % 2]!
          await client.follow(backend)
          for (let step = 0; step < 12; step++) await change(fixture, first, random)
          await agrees(client, backend)
          await client.stop()
          // What happens while nobody listens.
          for (let step = 0; step < 4; step++) await change(fixture, first, random)
        }
        const { batches } = client
        assert.ok(batches.some(({ reset }, index) => index > 0 && !reset))
        assert.equal(batches.filter(({ reset }) => reset).length, 1, 'it began anew though it could go on')
      }))

  it('tell of one change only that view, and only the fields that are asked for', (context) =>
    withClient(context, async (client) => {
      const fixture = cluster()
      const backend = await TestBackend.start(context, fixture)
      await client.follow(backend, { kinds: 'guest', fields: 'guest.name,guest.state' })
      await comesTrue(() => client.batches.length === 1, 'no beginning')
      assert.deepEqual(sorted(client.known), [
        ['guest/guest-db', { name: 'db', state: 'running' }],
        ['guest/guest-web', { name: 'web', state: 'running' }],
      ])
      const web = fixture.state.guests.get('guest-web' as never)!.value
      fixture.observe(web, { phase: 'paused' })
      await backend.put(KEYS.observation(web.id), fixture.state.observations.get(web.id)!.value)
      await comesTrue(() => client.batches.length === 2, 'no change')
      assert.deepEqual(client.batches[1]!.changes, [
        { kind: 'guest', id: 'guest-web', view: { name: 'web', state: 'paused' } },
      ])
    }))

  it('begin anew with a cursor that is unknown, or of before a permission was changed', (context) =>
    withClient(context, async (client) => {
      const backend = await TestBackend.start(context, cluster())
      for (const since of ['x', '99999999999999999999-0.0-x', '1-0.1-abc', '-1', "'--"]) {
        client.since = since
        await client.follow(backend)
        await comesTrue(() => client.batches.at(-1)?.complete === true, 'no beginning')
        assert.ok(client.batches.at(-1)!.reset, since)
        client.batches.length = 0
      }
      await backend.put(KEYS.user('alice'), { name: 'alice', realm: 'local', createdAt: 0 })
      await comesTrue(() => client.isOver, 'it goes on with what may not be seen any more')
      await client.follow(backend)
      await comesTrue(() => client.batches.length > 0 && client.batches.at(-1)!.complete, 'no beginning')
      assert.ok(client.batches.at(-1)!.reset)
    }))

  it('are those that may be seen, and of others not even the end is told', (context) =>
    withClient(context, async (client) => {
      const fixture = cluster()
      const backend = await TestBackend.start(context, fixture)
      await backend.put(KEYS.user('alice'), { name: 'alice', realm: 'local', createdAt: 0 })
      const subject = { kind: 'user', name: 'alice' }
      const path = '/projects/default/guests/guest-web'
      await backend.put(KEYS.permission('p'), { id: 'p', subject, role: 'GuestUser', path, propagate: true })
      await client.follow(backend, {}, USER)
      await comesTrue(() => client.batches.length === 1, 'no beginning')
      const ofWeb = [...client.known.keys()].toSorted()
      assert.deepEqual(ofWeb, ['guest/guest-web', 'volume/volumeweb'])
      for (const name of ['db', 'web'])
        await backend.store.transact({
          compares: [],
          writes: [{ kind: 'delete', key: `${PREFIX}guests/guest-${name}` }],
        })
      await comesTrue(() => !client.known.has('guest/guest-web'), 'it does not go')
      const told = client.batches.flatMap(({ changes }) => changes.map(({ kind, id }) => `${kind}/${id}`))
      assert.deepEqual([...new Set(told)].toSorted(), ofWeb)
      const once = await backend.call('view.list', {}, { principal: USER })
      assert.deepEqual(once.ok && once.value.changes.map(({ id }) => id), [])
    }))

  it('refuse kinds and fields that there are not', async (context) => {
    const backend = await TestBackend.start(context, cluster())
    for (const query of [{ kinds: 'guest,none' }, { fields: 'guest' }, { fields: 'guest.__proto__' }, { fields: '' }])
      await assert.rejects(backend.call('view.list', { query }), JSON.stringify(query))
  })
})
