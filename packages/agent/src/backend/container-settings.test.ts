import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { IDS_PER_CONTAINER } from '@stead/core/model/container.ts'
import type { BlobId, GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Host } from '@stead/core/model/host.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Image } from '@stead/core/model/volume.ts'
import { TestBackend } from './backend-fixture.ts'

const MIB = 2 ** 20
const template: Image = {
  name: 'busybox',
  kind: 'root',
  root: {
    system: { haltSignal: 'SIGUSR1' },
    os: '',
    architecture: 'amd64',
    sourceDigest: '0'.repeat(64),
    form: 'root',
    files: 1,
    contentBytes: 1,
  },
  blob: `sha256:${'a'.repeat(64)}` as BlobId,
  format: 'raw',
  virtualSizeBytes: 4 * MIB,
  createdAt: 0,
}

/** h1 and h2 run containers, h3 only virtual machines. */
async function start(context: TestContext, { btrfsOn = [] }: { readonly btrfsOn?: readonly string[] } = {}) {
  const cluster = new ClusterFixture(3)
  for (const id of ['h1', 'h2'] as HostId[]) {
    const { value, revision } = cluster.state.hosts.get(id)!
    const fast = { name: 'fast', path: '/fast', capacityBytes: 2 ** 30, subvolumes: true as const }
    const pools = btrfsOn.includes(id) ? [...value.pools, fast] : value.pools
    const host: Host = { ...value, pools, containers: { lxc: '5.0.2' } }
    cluster.state.hosts.set(id, { value: host, revision })
  }
  cluster.state.images.set('busybox', { value: template, revision: 1n })
  cluster.state.images.set('debian', { value: { ...template, name: 'debian', kind: 'disk' }, revision: 1n })
  const backend = await TestBackend.start(context, cluster)
  const guest = (id: string) => backend.mirror.state.guests.get(id as GuestId)!.value
  return { backend, guest }
}

const asked = (name: string, container: object = {}, more: object = {}) => ({
  body: {
    name,
    memoryBytes: 64 * MIB,
    boot: { kind: 'container' as const },
    disks: [{ sizeBytes: 128 * MIB }],
    container: { template: 'busybox', ...container },
    ...more,
  },
})

test('a container has the root of its template, and user ids that no other one has', async (context) => {
  const { backend, guest } = await start(context)
  const web = await backend.must('guest.create', asked('web', { addresses: ['192.0.2.10/24'], nesting: true }))
  const db = await backend.must('guest.create', asked('db'))
  const [first, second] = [guest(web.guest.id), guest(db.guest.id)]
  assert.equal(first.kind, 'ct')
  assert.deepEqual(first.nics[0]?.addresses, ['192.0.2.10/24'])
  assert.deepEqual(first.container?.system, { haltSignal: 'SIGUSR1' })
  assert.equal(first.container?.nesting, true)
  assert.equal(second.container!.idBase - first.container!.idBase, IDS_PER_CONTAINER)
  const volume = [...backend.mirror.state.volumes.values()].find(({ value }) => value.guest === first.id)
  assert.equal(volume?.value.content?.blob, template.blob)
  const view = await backend.must('guest.show', { params: { guest: 'web' } })
  assert.deepEqual([view.kind, view.container?.hostname, view.container?.privileged], ['ct', 'web', false])
})

test('its disks have no limits of their own, and it is said which ones it has', async (context) => {
  const { backend } = await start(context)
  await backend.must('guest.create', asked('web'))
  const params = { guest: 'web', disk: 'disk0' }
  const refused = await backend.refused('guest.disk-set', { params, body: { limits: { bytesPerSecond: 2 ** 20 } } })
  assert.equal(refused.code, 'bad_request')
  assert.match(refused.hint ?? '', /stead ct set web --limit iolimit=/)
  const body = { sizeBytes: 128 * MIB, mountPath: '/srv', limits: { operationsPerSecond: 100 } }
  assert.equal((await backend.refused('guest.disk-add', { params: { guest: 'web' }, body })).code, 'bad_request')
  await backend.must('guest.disk-set', { params, body: { limits: {} } })
})

test('it is placed only where containers run', async (context) => {
  const { backend } = await start(context)
  const refused = await backend.refused('guest.create', asked('web', {}, { host: 'h3' }))
  assert.match(refused.message, /h3 cannot run web: it cannot run containers/)
})

for (const [what, container, more, message] of [
  ['a template that is none', { template: 'debian' }, {}, /no template of containers/],
  ['one that does not exist', { template: 'plan9' }, {}, /There is no template plan9/],
  ['a disk without a place', { mounts: ['/srv'] }, {}, /one disk for its root and one for each place/],
  ['what only machines have', {}, { display: 'vga' }, /`display` is of virtual machines/],
  ['a template larger than the disk', {}, { disks: [{ sizeBytes: MIB }] }, /needs \d+ bytes/],
] as const) {
  test(`refused: ${what}`, async (context) => {
    const { backend } = await start(context)
    const refused = await backend.refused('guest.create', asked('web', container, more))
    assert.match(refused.message, message)
    assert.equal(backend.mirror.state.guests.size, 0)
  })
}

test('an address belongs to one guest only', async (context) => {
  const { backend } = await start(context)
  await backend.must('guest.create', asked('web', { addresses: ['192.0.2.10/24'] }))
  const taken = await backend.refused('guest.create', asked('db', { addresses: ['192.0.2.10/16'] }))
  assert.deepEqual([taken.code, taken.message], ['conflict', '192.0.2.10 is an address of web'])
  await backend.must('guest.create', asked('db', { addresses: ['192.0.2.11/24'] }))
  const body = { container: { addresses: ['192.0.2.10/24'] } }
  const changed = await backend.refused('guest.set', { params: { guest: 'db' }, body })
  assert.equal(changed.code, 'conflict')
})

test('settings change while it runs, one by one; an empty limit is lifted', async (context) => {
  const { backend } = await start(context)
  await backend.must('guest.create', asked('web', { limits: { numproc: { limit: 50 }, numfile: { limit: 900 } } }))
  const body = {
    memoryBytes: 32 * MIB,
    container: { hostname: 'www', limits: { numproc: { limit: 80 }, numfile: {} } },
  }
  const view = await backend.must('guest.set', { params: { guest: 'web' }, body })
  assert.equal(view.memoryBytes, 32 * MIB)
  assert.equal(view.container?.hostname, 'www')
  assert.deepEqual(view.container?.limits, { numproc: { limit: 80 } })
})

test('a disk is added where it is to be mounted', async (context) => {
  const { backend } = await start(context)
  const web = await backend.must('guest.create', asked('web'))
  const disk = { params: { guest: 'web' }, body: { sizeBytes: 64 * MIB } }
  assert.match((await backend.refused('guest.disk-add', disk)).message, /where web has the disk mounted/)
  await backend.must('guest.disk-add', { ...disk, body: { ...disk.body, mountPath: '/srv' } })
  const { container } = backend.mirror.state.guests.get(web.guest.id as GuestId)!.value
  assert.deepEqual(
    container?.mounts?.map(({ path }) => path),
    ['/srv'],
  )
})

test('the memory of a container cannot be kept in a snapshot', async (context) => {
  const { backend } = await start(context)
  await backend.must('guest.create', asked('web'))
  const body = { name: 'before', memory: true }
  const refused = await backend.refused('snapshot.create', { params: { guest: 'web' }, body })
  assert.equal(refused.code, 'conflict')
})

test('of containers that are given one address at the same time, through several hosts, exactly one has it', async (context) => {
  const { backend } = await start(context)
  const desks = [backend, await backend.onHost(context, 'h2'), await backend.onHost(context, 'h3')] as const
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      desks[index % 3]!.call('guest.create', asked(`web${index}`, { addresses: ['192.0.2.10/24'] })),
    ),
  )
  const owner = answers.find(({ ok }) => ok)
  assert.ok(owner?.ok)
  const { name } = owner.value.guest
  for (const answer of answers) {
    if (answer === owner) continue
    assert.ok(!answer.ok)
    assert.equal(answer.error.code, 'conflict')
    assert.match(answer.error.message, new RegExp(`^192\\.0\\.2\\.10 is an address of ${name}$`))
  }
  await Promise.all(['a', 'b', 'c'].map((each, index) => desks[index]!.must('guest.create', asked(each))))
  const set = (guest: string, index: number) =>
    desks[index]!.call('guest.set', { params: { guest }, body: { container: { addresses: ['192.0.2.20/24'] } } })
  const changed = await Promise.all(['a', 'b', 'c'].map(set))
  assert.deepEqual(changed.map((each) => (each.ok ? 'done' : each.error.code)).toSorted(), [
    'conflict',
    'conflict',
    'done',
  ])
})

test('containers with addresses of their own do not hinder each other', async (context) => {
  const { backend } = await start(context)
  const desks = [backend, await backend.onHost(context, 'h2')] as const
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      desks[index % 2]!.call('guest.create', asked(`web${index}`, { addresses: [`192.0.2.${index + 1}/24`] })),
    ),
  )
  for (const answer of answers) assert.ok(answer.ok, answer.ok ? '' : answer.error.message)
})

test('a native root lies where it can be, and its container runs nowhere else', async (context) => {
  const { backend, guest } = await start(context, { btrfsOn: ['h2'] })
  const root = { root: 'native' as const }
  const disks = [{ sizeBytes: 128 * MIB, replicas: 1 as const }]
  const made = await backend.must('guest.create', asked('fast', root, { disks }))
  const { id, volumes } = guest(made.guest.id)
  const volume = backend.mirror.state.volumes.get(volumes[0]!)?.value
  assert.deepEqual(
    [volume?.form, volume?.replicas.map(({ host, pool }) => `${host} ${pool}`)],
    ['subvolume', ['h2 fast']],
  )
  assert.match(made.warnings.join(), /its root is a subvolume of h2, which nothing mirrors/)
  const { targets } = await backend.must('guest.move-targets', { params: { guest: id } })
  assert.match(targets.find(({ host }) => host === 'h1')?.reason ?? '', /its root is a subvolume of h2/)
  for (const [container, more, why] of [
    [root, {}, /A native root has one replica/],
    [{ ...root, mounts: ['/srv'] }, { disks: [...disks, ...disks] }, /no further disks/],
    [root, { disks, host: 'h1' }, /none of its pools is on btrfs/],
    [root, { disks: [{ ...disks[0], pool: 'default' }] }, /its pool default is not on btrfs/],
    [root, { disks: [{ ...disks[0], sizeBytes: 2 ** 40 }] }, /bytes free/],
  ] as const) {
    const refused = await backend.call('guest.create', asked('other', container, more))
    assert.match(refused.ok ? '' : refused.error.message, why)
  }
})

test('a container with a native root is cloned where that is, once it is made', async (context) => {
  const { backend, guest } = await start(context, { btrfsOn: ['h2'] })
  const volumeOf = (id: string) => backend.mirror.state.volumes.get(guest(id).volumes[0]!)!
  const clone = (of: string, name: string, more: object = {}) =>
    backend.call('guest.clone', { params: { guest: of }, body: { name, ...more } })
  const disks = [{ sizeBytes: 128 * MIB, replicas: 1 as const }]
  const native = await backend.must('guest.create', asked('native', { root: 'native' }, { disks, start: true }))
  const early = await clone('native', 'early')
  assert.match(early.ok ? '' : early.error.message, /is being changed/)
  const { value, revision } = volumeOf(native.guest.id)
  const key = KEYS.volume(value.id)
  const compares = [{ key, modRevision: revision }]
  const ready = JSON.stringify({ ...value, ready: true })
  await backend.store.transact({ compares, writes: [{ kind: 'put', key, value: ready }] })
  const elsewhere = await clone('native', 'elsewhere', { host: 'h1' })
  assert.match(elsewhere.ok ? '' : elsewhere.error.message, /begins on h2, where its root is/)
  const made = await clone('native', 'like')
  assert.ok(made.ok, made.ok ? '' : made.error.message)
  const like = volumeOf(made.value.guest.id).value
  assert.deepEqual(
    [
      like.cloneOf,
      like.form,
      like.content,
      like.awaitsContent,
      like.replicas.map(({ host, pool }) => `${host} ${pool}`),
    ],
    [value.id, 'subvolume', undefined, undefined, ['h2 fast']],
  )
})

test('a copy of a root is for native ones, and is where there is another pool for them', async (context) => {
  const { backend } = await start(context, { btrfsOn: ['h2'] })
  const disks = [{ sizeBytes: 128 * MIB, replicas: 1 as const }]
  await backend.must('guest.create', asked('image'))
  await backend.must('guest.create', asked('native', { root: 'native' }, { disks }))
  const rootCopy = { everyMs: 300_000, onLoss: 'wait' as const }
  for (const [guest, asks, why] of [
    ['image', rootCopy, /has no native root/],
    ['native', rootCopy, /No other host can hold a copy: .*none of the pools of h1 is on btrfs/],
    ['native', { ...rootCopy, to: 'h2' }, /The root itself is on h2/],
  ] as const) {
    const refused = await backend.call('guest.set', { params: { guest }, body: { rootCopy: asks } })
    assert.match(refused.ok ? '' : refused.error.message, why)
  }
})

test('a copy that is asked for with the container has its room from the beginning, beside the root and not where that is', async (context) => {
  const { backend, guest } = await start(context, { btrfsOn: ['h1', 'h2'] })
  const disks = [{ sizeBytes: 128 * MIB, replicas: 1 as const }]
  const native = { root: 'native' as const }
  const rootCopy = { everyMs: 300_000, onLoss: 'start-from-copy' as const }
  for (const [name, asks, home, on] of [
    ['there', { to: 'h1' }, 'h2', 'h1'],
    ['here', { to: 'h2' }, 'h1', 'h2'],
    ['anywhere', { to: null }, 'h1', 'h2'],
  ] as const) {
    const made = await backend.must('guest.create', asked(name, native, { disks, rootCopy: { ...rootCopy, ...asks } }))
    const { volumes, rootCopy: kept } = guest(made.guest.id)
    const { to } = asks
    assert.deepEqual(kept, { ...rootCopy, ...(to === null ? {} : { to }) })
    const volume = backend.mirror.state.volumes.get(volumes[0]!)!.value
    assert.deepEqual(
      [volume.replicas.map(({ host }) => host), volume.copies?.map(({ host, pool }) => `${host} ${pool}`)],
      [[home], [`${on} fast`]],
    )
    const follows = new RegExp(`subvolume of ${home}, which a copy on ${on} follows every 5 min.*starts from the copy`)
    assert.match(made.warnings.join(), follows)
  }
  for (const [container, more, why] of [
    [{}, {}, /Only a native root is followed by a copy/],
    [native, { disks, host: 'h1', rootCopy: { ...rootCopy, to: 'h1' } }, /the copy of its root is to be there/],
    [
      native,
      { disks, rootCopy: { ...rootCopy, to: 'h3' } },
      /No copy can be on h3: none of the pools of h3 is on btrfs/,
    ],
    [native, { disks, rootCopy: { ...rootCopy, to: 'h9' } }, /There is no host h9/],
  ] as const) {
    const refused = await backend.call('guest.create', asked('other', container, { rootCopy, ...more }))
    assert.match(refused.ok ? '' : refused.error.message, why)
  }
})
