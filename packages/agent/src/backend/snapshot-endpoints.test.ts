import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Snapshot, SnapshotMemory } from '@stead/core/model/snapshot.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { TestBackend } from './backend-fixture.ts'

const WEB = 'guest-web' as GuestId
const params = { guest: 'web' }

async function start(context: TestContext, change: Partial<Guest> = {}) {
  const cluster = new ClusterFixture(2)
  const { guest: web } = cluster.guestWithDisk('web', ['h1', 'h2'], change)
  cluster.grant(web, 'h1')
  const backend = await TestBackend.start(context, cluster)
  const take = (name: string) => backend.must('snapshot.create', { params, body: { name } })
  /** As its host would write it. */
  const finish = async (name: string, createdAt: number) => {
    const known = backend.mirror.state.snapshots.get(`${WEB}/${name}`)!.value
    const volumes = web.volumes.map((volume) => {
      const { sizeBytes, replicas } = backend.mirror.state.volumes.get(volume)!.value
      return { volume, sizeBytes, hosts: replicas.map(({ host }) => host) }
    })
    const ready: Snapshot = { ...known, state: 'ready', createdAt, volumes }
    const key = KEYS.snapshot(WEB, name)
    await backend.store.transact({ compares: [], writes: [{ kind: 'put', key, value: JSON.stringify(ready) }] })
    await backend.mirror.until(
      (state) => state.snapshots.get(`${WEB}/${name}`)?.value.state === 'ready',
      new Promise((resolve) => setTimeout(resolve, 5_000)),
    )
  }
  return { backend, take, finish }
}

test('a snapshot is asked for once under a name, and shown while it is being made', async (context) => {
  const { backend, take } = await start(context)
  const { operation } = await take('s1')
  assert.deepEqual([operation.kind, operation.state, operation.subjectName], ['vm.snapshot-create', 'running', 'web'])
  const { items, schedule } = await backend.must('snapshot.list', { params })
  assert.deepEqual(
    items.map(({ name, state }) => [name, state]),
    [['s1', 'being-made']],
  )
  assert.equal(schedule, null)
  const again = await backend.refused('snapshot.create', { params, body: { name: 's1' } })
  assert.equal(again.code, 'name_taken')
})

test('a roll-back stops the guest, and takes newer snapshots along only when it is told to', async (context) => {
  const { backend, take, finish } = await start(context)
  await take('s1')
  const early = await backend.refused('snapshot.rollback', { params: { ...params, snapshot: 's1' }, body: {} })
  assert.match(early.message, /wanted/)
  await finish('s1', 1)
  await take('s2')
  await finish('s2', 2)
  const refused = await backend.refused('snapshot.rollback', { params: { ...params, snapshot: 's1' }, body: {} })
  assert.match(refused.message, /s2/)
  assert.match(refused.hint ?? '', /--delete-newer/)
  await backend.must('snapshot.rollback', { params: { ...params, snapshot: 's1' }, body: { deleteNewer: true } })
  assert.equal(backend.mirror.state.guests.get(WEB)?.value.desired, 'stopped')
  const { state, startAfter } = backend.mirror.state.snapshots.get(`${WEB}/s1`)!.value
  assert.deepEqual([state, startAfter], ['rolling-back', true])
  const busy = await backend.refused('snapshot.create', { params, body: { name: 's3' } })
  assert.match(busy.message, /just being rolled back/)
})

test('a memory is brought back only to the machine that had it, and only where somebody has it', async (context) => {
  const { backend, finish } = await start(context)
  await backend.must('snapshot.create', { params, body: { name: 's1', memory: true } })
  const known = backend.mirror.state.snapshots.get(`${WEB}/s1`)!.value
  assert.equal(known.withMemory, true)
  await finish('s1', 1)
  const web = backend.mirror.state.guests.get(WEB)!.value
  const volumes = web.volumes.map((id) => backend.mirror.state.volumes.get(id)!.value)
  const launch: GuestLaunch = {
    ...{ guest: WEB, name: 'web', epoch: 1, memoryBytes: web.memoryBytes, cpus: web.cpus, boot: { kind: 'disk' } },
    disks: volumes.map(({ id, sizeBytes }) => ({ volume: id, sizeBytes, legs: [], width: 2 })),
    nics: web.nics.map((nic) => ({ ...nic, tap: '' })),
    accelerator: 'tcg',
  }
  const memory = { volume: volumes[0]!.id, bytes: 5, digest: 'sha256:0', takenOn: 'h1' as HostId }
  const write = async (change: Partial<SnapshotMemory>) => {
    const ready = backend.mirror.state.snapshots.get(`${WEB}/s1`)!.value
    const next: Snapshot = { ...ready, memory: { ...memory, hosts: ['h1' as HostId], launch, ...change } }
    const writes = [{ kind: 'put', key: KEYS.snapshot(WEB, 's1'), value: JSON.stringify(next) }] as const
    await backend.store.transact({ compares: [], writes: [...writes] })
    await backend.mirror.until(
      (state) => state.snapshots.get(`${WEB}/s1`)?.value.memory?.bytes === next.memory?.bytes,
      new Promise((resolve) => setTimeout(resolve, 5_000)),
    )
  }
  const back = { params: { ...params, snapshot: 's1' }, body: {} }
  await write({ bytes: 1, launch: { ...launch, cpus: 7 } })
  const changed = await backend.refused('snapshot.rollback', back)
  assert.match(changed.message, /its hardware has changed since \(processors\)/)
  assert.match(changed.hint ?? '', /--without-memory/)
  await write({ bytes: 2, hosts: ['h9' as HostId] })
  assert.match((await backend.refused('snapshot.rollback', back)).message, /no host that has it is up \(h9\)/)
  await backend.must('snapshot.rollback', { ...back, body: { withoutMemory: true } })
  assert.equal(backend.mirror.state.snapshots.get(`${WEB}/s1`)?.value.withoutMemory, true)
})

test('there is no memory to keep of a guest that does not run', async (context) => {
  const cluster = new ClusterFixture(2)
  cluster.guestWithDisk('web', ['h1', 'h2'])
  const backend = await TestBackend.start(context, cluster)
  const refused = await backend.refused('snapshot.create', { params, body: { name: 's1', memory: true } })
  assert.match(refused.message, /does not run/)
})

test('a schedule with the memory is refused for a guest whose memory cannot be kept, and else shown', async (context) => {
  const { backend } = await start(context)
  const body = { schedule: { everyMs: 3_600_000, keep: 24, memory: true } }
  await backend.must('snapshot.schedule', { params, body })
  assert.equal((await backend.must('snapshot.list', { params })).schedule?.memory, true)
  const other = await start(context, { platform: { tpm: true } })
  assert.match((await other.backend.refused('snapshot.schedule', { params, body })).message, /TPM/)
})

test('a schedule is set, shown and taken away', async (context) => {
  const { backend } = await start(context)
  await backend.must('snapshot.schedule', { params, body: { schedule: { everyMs: 3_600_000, keep: 24 } } })
  const { schedule } = await backend.must('snapshot.list', { params })
  assert.deepEqual([schedule?.everyMs, schedule?.keep], [3_600_000, 24])
  await backend.must('snapshot.schedule', { params, body: { schedule: null } })
  assert.equal((await backend.must('snapshot.list', { params })).schedule, null)
})
