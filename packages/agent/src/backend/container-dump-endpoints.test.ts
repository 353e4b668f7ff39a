import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { containerDumpSchema } from '@stead/api/container-dump.ts'
import { failure } from '@stead/core/errors.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { ContainerSettings } from '@stead/core/model/container.ts'
import type { BlobId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok } from '@stead/core/result.ts'
import { realClock } from '../real-clock.ts'
import type { DumpOrder } from '../container/container-dumps.ts'
import { TestBackend } from './backend-fixture.ts'

const HOUR_MS = 3_600_000

const CONTAINER: ContainerSettings = {
  ...{ template: 'tiny@1', system: { haltSignal: 'SIGUSR1' }, idBase: 1_000_000, privileged: true },
  limits: { numproc: { limit: 60 } },
}
const DUMPED = { blob: `sha256:${'d'.repeat(64)}` as BlobId, sizeBytes: 7, pausedMs: 0 }

/** A container with its root on h1 and h2; what is asked of which host is noted. */
async function backendWith(context: TestContext, options: { readonly runsOn?: string }) {
  const cluster = new ClusterFixture(3)
  const isUp = options.runsOn !== undefined
  const { guest } = cluster.guestWithDisk('c1', ['h2', 'h3'], {
    ...{ kind: 'ct', boot: { kind: 'container' }, container: CONTAINER, desired: isUp ? 'running' : 'stopped' },
    lifecycle: { tags: ['shop'] },
  })
  if (options.runsOn !== undefined) cluster.grant(guest, options.runsOn)
  const orders: [HostId, DumpOrder][] = []
  const backend = await TestBackend.start(context, cluster)
  backend.dumpContainer = async (host, order) => {
    orders.push([host, order])
    return ok(DUMPED)
  }
  return { backend, orders, guest }
}

test('one that runs is suspended where it runs, and the dump says everything that makes it again', async (context) => {
  const { backend, orders } = await backendWith(context, { runsOn: 'h3' })
  const dumped = await backend.must('guest.dump', { params: { guest: 'c1' } })
  assert.deepEqual([dumped.blob, dumped.mode], [DUMPED.blob, 'suspend'])
  const [[host, { replicas, config, compress }] = assert.fail()] = orders
  assert.deepEqual([host, replicas, compress], ['h3', undefined, 'zstd'])
  const said = containerDumpSchema.parse(JSON.parse(JSON.stringify(config)))
  assert.deepEqual([said.name, said.system, said.limits], ['c1', CONTAINER.system, CONTAINER.limits])
  assert.deepEqual([said.privileged, said.disks.length, said.settings], [true, 1, { tags: ['shop'] }])
})

test('one that is stopped is read from a host that has a current replica', async (context) => {
  const { backend, orders, guest } = await backendWith(context, {})
  assert.equal((await backend.must('guest.dump', { params: { guest: 'c1' } })).mode, 'stop')
  assert.deepEqual([orders[0]?.[0], orders[0]?.[1].replicas?.[0]?.volume], ['h2', guest.volumes[0]])
})

test('a snapshot is read where it is held; one that there is not is refused', async (context) => {
  const { backend, orders, guest } = await backendWith(context, { runsOn: 'h2' })
  const body = { snapshot: 's1' }
  assert.equal((await backend.refused('guest.dump', { params: { guest: 'c1' }, body })).code, 'not_found')
  await backend.put(KEYS.snapshot(guest.id, 's1'), {
    ...{ id: 'a1', guest: guest.id, name: 's1', createdAt: 1, state: 'ready', scheduled: false },
    ...{ wanted: 'filesystem', consistent: 'filesystem' },
    volumes: [{ volume: guest.volumes[0], sizeBytes: 1, hosts: ['h3'] }],
  })
  await backend.mirror.until((state) => state.snapshots.size === 1, realClock.sleep(5_000))
  assert.equal((await backend.must('guest.dump', { params: { guest: 'c1' }, body })).mode, 'snapshot')
  assert.deepEqual([orders[0]?.[0], orders[0]?.[1].replicas?.[0]?.snapshot], ['h3', 'a1'])
})

test('disks that no one host has together are refused, with where each is', async (context) => {
  const { backend, guest } = await backendWith(context, {})
  const id = 'b'.repeat(32) as VolumeId
  const root = backend.mirror.state.volumes.get(guest.volumes[0]!)!.value
  const further = { ...root, id, name: 'disk1', replicas: [{ ...root.replicas[0], host: 'h1' }] }
  await backend.put(KEYS.volume(id), further)
  await backend.put(KEYS.guest(guest.id), { ...guest, volumes: [...guest.volumes, id] })
  await backend.mirror.until((state) => state.volumes.size === 2, realClock.sleep(5_000))
  const refused = await backend.refused('guest.dump', { params: { guest: 'c1' } })
  assert.match(refused.message, /disk0 on h2 and h3, disk1 on h1/)
})

test('a dump is a backup: it outlives its container, and goes when it is deleted or its time is over', async (context) => {
  const { backend, guest } = await backendWith(context, {})
  const { backup, keptUntil } = await backend.must('guest.dump', { params: { guest: 'c1' }, body: { keepHours: 48 } })
  assert.match(backup, /^c1-\d{8}-\d{6}$/)
  const keptMs = Date.parse(keptUntil) - realClock.wallMs()
  assert.ok(keptMs > 47.9 * HOUR_MS && keptMs <= 48 * HOUR_MS)
  await backend.mirror.until((state) => state.backups.get(backup)?.value.file !== undefined, realClock.sleep(5_000))
  await backend.store.transact({ compares: [], writes: [{ kind: 'delete', key: KEYS.guest(guest.id) }] })
  await backend.mirror.until((state) => state.guests.size === 0, realClock.sleep(5_000))
  const { items } = await backend.must('backup.list')
  assert.deepEqual(
    items.map(({ id, guest: of, state, host, blob, sizeBytes }) => [id, of, state, host, blob, sizeBytes]),
    [[backup, 'c1', 'ready', 'h2', DUMPED.blob, 7]],
  )
  assert.deepEqual(await backend.must('backup.show', { params: { backup } }), items[0])
  assert.deepEqual((await backend.must('backup.list', { query: { guest: 'c2' } })).items, [])
  await backend.must('backup.delete', { params: { backup } })
  await backend.mirror.until((state) => state.backups.size === 0, realClock.sleep(5_000))
  assert.equal((await backend.refused('backup.show', { params: { backup } })).code, 'not_found')
})

test('a dump that fails leaves no backup, and says why', async (context) => {
  const { backend } = await backendWith(context, { runsOn: 'h3' })
  backend.dumpContainer = async () => fail(failure('storage', 'the disk could not be read'))
  const refused = await backend.refused('guest.dump', { params: { guest: 'c1' } })
  assert.match(refused.message, /could not be read/)
  await backend.mirror.until((state) => state.backups.size === 0, realClock.sleep(5_000))
  const operation = [...backend.mirror.state.operations.values()].find(({ value }) => value.kind === 'ct.dump')?.value
  assert.deepEqual([operation?.state, operation?.failure?.code], ['failed', 'storage'])
})

test('of two dumps at a time, asked of two hosts, the quota lets one through', async (context) => {
  const { backend } = await backendWith(context, { runsOn: 'h3' })
  const other = await backend.onHost(context, 'h2')
  await backend.must('project.set', { params: { project: 'default' }, body: { quota: { backups: 1 } } })
  await other.mirror.until((state) => state.projects.size === 1, realClock.sleep(5_000))
  const made = Promise.withResolvers<void>()
  for (const each of [backend, other])
    each.dumpContainer = async () => {
      // The other one is judged while this one is being made.
      await made.promise
      return ok(DUMPED)
    }
  const asked = [backend, other].map((each) => each.call('guest.dump', { params: { guest: 'c1' } }))
  const first = await Promise.race(asked)
  assert.equal(!first.ok && first.error.code, 'quota')
  made.resolve()
  assert.deepEqual((await Promise.all(asked)).map(({ ok: isMade }) => isMade).toSorted(), [false, true])
})

test('one that is deleted while it is being made ends without a backup', async (context) => {
  const { backend } = await backendWith(context, { runsOn: 'h3' })
  const begun = Promise.withResolvers<void>()
  const made = Promise.withResolvers<void>()
  backend.dumpContainer = async () => {
    begun.resolve()
    await made.promise
    return ok(DUMPED)
  }
  const asked = backend.call('guest.dump', { params: { guest: 'c1' } })
  await begun.promise
  const [id] = [...backend.mirror.state.backups.keys()]
  assert.equal((await backend.must('backup.show', { params: { backup: id } })).state, 'being-made')
  assert.equal((await backend.refused('backup.fetch', { params: { backup: id } })).code, 'conflict')
  await backend.must('backup.delete', { params: { backup: id } })
  made.resolve()
  const ended = await asked
  assert.match(!ended.ok ? ended.error.message : '', /was called off/)
  assert.equal(backend.mirror.state.backups.size, 0)
})

test('what was stopped and started while it was read becomes no backup', async (context) => {
  const { backend, guest } = await backendWith(context, {})
  backend.dumpContainer = async () => {
    await backend.put(KEYS.grant(guest.id), { guest: guest.id, host: 'h2', epoch: 9, state: 'granted' })
    return ok(DUMPED)
  }
  const refused = await backend.refused('guest.dump', { params: { guest: 'c1' } })
  assert.match(refused.message, /was started while it was being dumped/)
})
