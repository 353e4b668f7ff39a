import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { finishedImport } from '@stead/core/host/import-records.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { realClock } from '../real-clock.ts'
import { TestBackend } from './backend-fixture.ts'

const ARCHIVE = `sha256:${'a'.repeat(64)}`
const FIGURES = { sourceDigest: ARCHIVE.slice(7), files: 3, contentBytes: 2 ** 21 }
const TODAY = new Date().toISOString().slice(0, 10)

const backendFor = (context: TestContext) => TestBackend.start(context, new ClusterFixture(2, { witness: true }))

/** As the host that the import's record names makes it. Answers once the backend's own copy has it. */
async function imported(backend: TestBackend, name: string, version?: string) {
  const body = { name, blob: ARCHIVE, ...(version === undefined ? {} : { version }) }
  const { template } = await backend.must('template.import', { body })
  const { mirror, store } = backend
  const seen = mirror.state.imports.get(template)!
  const system = { haltSignal: 'SIGUSR1' }
  const root = { ...{ system, os: 'Tiny 1', architecture: 'amd64', form: 'root' as const }, ...FIGURES }
  const disk = { blob: seen.value.source, format: 'raw' as const, virtualSizeBytes: 2 ** 23 }
  const image = { name: template, kind: 'root' as const, ...disk, root, createdAt: realClock.wallMs() }
  const context = { mirror, clock: realClock, events: { writesFor: () => [] } as never }
  const made = await store.transact(finishedImport(context, seen, image, 'it is on h1'))
  assert.ok(made.ok && made.value.committed)
  await mirror.until((state) => state.images.has(template), realClock.sleep(5_000))
  return await backend.must('template.show', { params: { template } })
}

test('a template is kept as an image of kind root, with what is known of it', async (context) => {
  const backend = await backendFor(context)
  const made = await imported(backend, 'tiny', '1')
  assert.deepEqual([made.name, made.version, made.newest], ['tiny', '1', true])
  assert.deepEqual([made.sourceDigest, made.system.haltSignal], [ARCHIVE.slice(7), 'SIGUSR1'])
  const [image] = (await backend.must('image.list')).items
  assert.deepEqual([image?.kind, image?.name, image?.root?.os], ['root', 'tiny@1', 'Tiny 1'])
})

test('the name alone means the version that came last, and a version is not replaced', async (context) => {
  const backend = await backendFor(context)
  await imported(backend, 'tiny', '9')
  await backend.put(KEYS.image('tiny@9'), { ...backend.mirror.state.images.get('tiny@9')?.value, createdAt: 1 })
  await imported(backend, 'tiny', '10')
  const show = async (template: string) => (await backend.must('template.show', { params: { template } })).version
  assert.deepEqual([await show('tiny'), await show('tiny@9')], ['10', '9'])
  const refused = await backend.refused('template.import', { body: { name: 'tiny', version: '9', blob: ARCHIVE } })
  assert.equal(refused.code, 'name_taken')
  const { items } = await backend.must('template.list')
  assert.deepEqual(
    items.map(({ version, newest }) => [version, newest]),
    [
      ['9', false],
      ['10', true],
    ],
  )
})

test('without a version it has the day of its import, the second of a day a number', async (context) => {
  const backend = await backendFor(context)
  assert.equal((await imported(backend, 'tiny')).version.slice(0, 4), TODAY.slice(0, 4))
  assert.match((await imported(backend, 'tiny')).version, /^\d{4}-\d\d-\d\d(\.2)?$/)
  assert.equal((await backend.must('template.list')).items.length, 2)
})

test('deleting takes one version away, the newest by the name alone', async (context) => {
  const backend = await backendFor(context)
  for (const version of ['1', '2']) await imported(backend, 'tiny', version)
  await backend.must('template.delete', { params: { template: 'tiny@1' } })
  await backend.mirror.until((state) => !state.images.has('tiny@1'), realClock.sleep(5_000))
  await backend.must('template.delete', { params: { template: 'tiny' } })
  await backend.mirror.until((state) => state.images.size === 0, realClock.sleep(5_000))
  assert.equal((await backend.refused('template.delete', { params: { template: 'tiny' } })).code, 'not_found')
})

test('a template is no disk of a VM, and a disk image no template', async (context) => {
  const backend = await backendFor(context)
  await imported(backend, 'tiny', '1')
  const disks = [{ sizeBytes: 2 ** 28, replicas: 1, image: 'tiny@1' }]
  const asDisk = await backend.refused('guest.create', {
    body: { name: 'vm', memoryBytes: 2 ** 27, cpus: 1, boot: { kind: 'disk' }, disks },
  })
  assert.match(asDisk.message, /tiny@1 is a template of containers/)
  await backend.put(KEYS.image('debian'), {
    ...{ name: 'debian', blob: ARCHIVE, format: 'qcow2', virtualSizeBytes: 1, createdAt: 1 },
  })
  assert.equal((await backend.refused('template.show', { params: { template: 'debian' } })).code, 'not_found')
})

test('a container is made of the newest version, and says which one that was', async (context) => {
  const backend = await backendFor(context)
  await imported(backend, 'tiny', '1')
  for (const host of ['h1', 'h2'] as HostId[]) {
    const record = backend.mirror.state.hosts.get(host)?.value
    await backend.put(KEYS.host(host), { ...record, containers: { lxc: '5.0' } })
  }
  const container = { template: 'tiny' }
  const disks = [{ sizeBytes: 2 ** 28, replicas: 1 }]
  const body = { name: 'web', memoryBytes: 2 ** 27, cpus: 1, boot: { kind: 'container' }, disks, container }
  const { guest } = await backend.must('guest.create', { body })
  await backend.mirror.until((state) => state.guests.has(guest.id as GuestId), realClock.sleep(5_000))
  const { guests, volumes } = backend.mirror.state
  assert.equal(guests.get(guest.id as GuestId)?.value.container?.template, 'tiny@1')
  assert.deepEqual(
    [...volumes.values()].map(({ value }) => value.content),
    [{ blob: ARCHIVE, format: 'raw' }],
  )
  const absent = await backend.refused('guest.create', {
    body: { ...body, name: 'web2', container: { template: 'none' } },
  })
  assert.equal(absent.code, 'not_found')
})
