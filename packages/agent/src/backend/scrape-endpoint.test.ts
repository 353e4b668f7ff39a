import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Replica } from '@stead/core/model/volume.ts'
import type { GuestReading, MeterReadings, PoolReading, StorageCounters } from '@stead/core/ports/host-meters.ts'
import { readExposition } from '../metrics/exposition-fixture.ts'
import { startApiServer } from '../http/api-server.ts'
import { TestBackend } from './backend-fixture.ts'

const STORAGE: StorageCounters = { reads: 5, writes: 6, readBytes: 7, writtenBytes: 8, readMs: 900, writeMs: 1000 }

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  const gone = { sinceEpoch: 1, since: Date.now() - 60_000, reason: 'gone', cause: 'leg-lost' } as const
  const stale: Replica = { host: 'h2' as HostId, pool: 'default', state: 'stale', stale: gone }
  const { guest } = cluster.guestWithDisk('web', ['h1', stale])
  cluster.observe(guest, { epoch: cluster.grant(guest, 'h1').epoch, phase: 'running' })
  cluster.lose('h3')
  const backend = await TestBackend.start(context, cluster)
  return backend
}

function measured(backend: TestBackend): void {
  const machine = { cpuMs: 1500, memoryBytes: 64, receivedBytes: 10, sentBytes: 20 }
  const disks = [STORAGE, { ...STORAGE, reads: 1 }]
  const guests: [GuestId, GuestReading][] = ['guest-web', 'guest-gone'].map((id) => [
    id as GuestId,
    { ...machine, run: 'r', disks },
  ])
  const pool = { device: 'vda', storage: STORAGE, busyMs: 250, usedBytes: 9 }
  const readings: MeterReadings = {
    ...{ atMs: 1, host: machine, guests: new Map(guests) },
    pools: new Map<string, PoolReading>([
      ['default', pool],
      ['share', { device: 'nfs', usedBytes: 3 }],
    ]),
  }
  const pools = [{ name: 'default', figures: {}, loadMeanRatio: 0.125 }]
  backend.metrics = { ...backend.metrics, own: () => ({ readings, latest: { host: {}, pools, guests: [] } }) }
}

async function scrape(backend: TestBackend) {
  const answer = (await backend.must('metrics.scrape')) as unknown as AsyncIterable<Uint8Array>
  const parts = await Array.fromAsync(answer)
  return readExposition(Buffer.concat(parts).toString())
}

test('a host that has measured nothing yet tells of the cluster', async (context) => {
  const families = await scrape(await start(context))
  const value = (name: string, labels = '') => families.get(name)?.samples.get(labels)
  assert.equal(value('stead_host_up', 'host="h1",role="compute"'), 1)
  assert.equal(value('stead_host_up', 'host="h3",role="compute"'), 0)
  assert.equal(value('stead_guests_protection', 'level="degraded"'), 1)
  assert.equal(value('stead_guests_protection', 'level="unprotected"'), 0)
  assert.equal(value('stead_replicas', 'state="stale"'), 1)
  assert.equal(value('stead_replicas', 'state="in-sync"'), 1)
  assert.ok((value('stead_replica_stale_seconds') ?? 0) >= 60)
  assert.equal(value('stead_store_reached'), 1)
  assert.equal(families.get('stead_host_cpu_seconds_total'), undefined)
})

test('counters stand as they are, in base units, with the names of guests and pools', async (context) => {
  const backend = await start(context)
  measured(backend)
  const families = await scrape(backend)
  const value = (name: string, labels: string) => families.get(name)?.samples.get(labels)
  const guest = 'guest="web",id="guest-web",kind="vm",project="default"'
  assert.equal(value('stead_host_cpu_seconds_total', 'host="h1"'), 1.5)
  assert.equal(value('stead_guest_cpu_seconds_total', guest), 1.5)
  assert.equal(value('stead_guest_reads_total', guest), 6)
  assert.equal(value('stead_guest_write_seconds_total', guest), 2)
  assert.equal(value('stead_pool_busy_seconds_total', 'host="h1",pool="default"'), 0.25)
  assert.equal(value('stead_pool_load_ratio', 'host="h1",pool="default"'), 0.125)
  // What lies on no disk has its size alone, and a guest that is deleted is of no interest.
  assert.equal(families.get('stead_pool_reads_total')?.samples.size, 1)
  assert.equal(value('stead_pool_used_bytes', 'host="h1",pool="share"'), 3)
  assert.equal(families.get('stead_guest_memory_bytes')?.samples.size, 1)
})

test('events and failovers are counted from when the agent began', async (context) => {
  const backend = await start(context)
  const told = async (id: string, kind: string, details: object) => {
    const event = { id, time: new Date().toISOString(), monotonicMs: 1, kind, subject: 'guest/web', message: 'x' }
    const value = JSON.stringify({ ...event, host: 'h1', details })
    await backend.store.transact({ compares: [], writes: [{ kind: 'put', key: KEYS.event(id), value }] })
  }
  await told('1', 'grant.committed', { action: 'recover' })
  await told('2', 'grant.committed', { action: 'start' })
  await told('3', 'host.lost', {})
  for (let tries = 0; backend.events().length < 3 && tries < 500; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  const families = await scrape(backend)
  assert.equal(families.get('stead_failovers_total')?.samples.get(''), 1)
  assert.equal(families.get('stead_events_total')?.samples.get('kind="grant.committed"'), 2)
  assert.equal(families.get('stead_events_total')?.samples.get('kind="host.lost"'), 1)
  assert.equal(families.get('stead_events_total')?.samples.get('kind="host.online"'), 0)
})

test('the Auditor may read it, and who sees less may not', async (context) => {
  const backend = await start(context)
  const ask = async (name: string, role: string, path: string) => {
    await backend.must('user.create', { body: { name } })
    await backend.must('permission.grant', { body: { subject: { kind: 'user', name }, role, path } })
    const principal: Principal = { kind: 'user', name }
    const answer = await backend.call('metrics.scrape', {}, { principal })
    return answer.ok ? 'ok' : answer.error.code
  }
  assert.equal(await ask('audit', 'Auditor', '/'), 'ok')
  assert.equal(await ask('tenant', 'ProjectAdmin', '/projects/default'), 'forbidden')
})

test('it is served where Prometheus looks by itself, to who shows a token', async (context) => {
  const backend = await start(context)
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    ...{ backend: backend.guarded, log: backend.log, host: 'h1', token: 'secret' },
    web: async (_request, reply) => reply.send('the web interface'),
  })
  context.after(() => server.close())
  const [address] = server.addresses
  assert.ok(address && 'port' in address)
  const ask = (path: string, headers = {}) => fetch(`http://127.0.0.1:${address.port}${path}`, { headers })
  for (const path of ['/metrics', '/v1/metrics']) {
    const answer = await ask(path, { authorization: 'Bearer secret' })
    assert.deepEqual(
      [answer.status, answer.headers.get('content-type')],
      [200, 'text/plain; version=0.0.4; charset=utf-8'],
    )
    assert.ok(readExposition(await answer.text()).has('stead_host_up'))
    assert.equal((await ask(path)).status, 401)
  }
  assert.equal(await (await ask('/metrics-of-mine')).text(), 'the web interface')
})
