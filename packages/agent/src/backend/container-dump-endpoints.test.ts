import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { containerDumpSchema } from '@stead/api/container-dump.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { ContainerSettings } from '@stead/core/model/container.ts'
import type { BlobId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { ok } from '@stead/core/result.ts'
import { realClock } from '../real-clock.ts'
import type { DumpOrder } from '../container/container-dumps.ts'
import { TestBackend } from './backend-fixture.ts'

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
