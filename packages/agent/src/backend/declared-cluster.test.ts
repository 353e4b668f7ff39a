/** Files that say how a cluster is to be, against a real back end: `packages/api/src/declared`. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fastCheck from 'fast-check'
import { readDeclaredCluster, type DeclaredCluster } from '@stead/api/declared/declared-cluster.ts'
import { planDeclared, type DeclaredPlan } from '@stead/api/declared/declared-plan.ts'
import { exportedCluster, presentCluster } from '@stead/api/declared/present-cluster.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { Image } from '@stead/core/model/volume.ts'
import type { BackendId } from '../http/backend.ts'
import { TestBackend } from './backend-fixture.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

async function present(backend: TestBackend) {
  const list = async <Id extends `${string}.list` & BackendId>(id: Id) =>
    ((await backend.must(id)) as unknown as { items: never[] }).items
  return presentCluster({
    policy: await backend.must('policy.show'),
    certificate: await backend.must('certificate.show'),
    hosts: await list('host.list'),
    projects: await list('project.list'),
    roles: await list('role.list'),
    users: await list('user.list'),
    groups: await list('group.list'),
    permissions: await list('permission.list'),
    guests: await list('guest.list'),
    rules: await list('rule.list'),
  })
}

function read(document: unknown): DeclaredCluster {
  const declared = readDeclaredCluster(document)
  assert.ok(declared.ok, JSON.stringify(declared))
  return declared.value
}

async function planFor(backend: TestBackend, document: object, prune = false): Promise<DeclaredPlan> {
  return planDeclared(read({ stead: 1, ...document }), await present(backend), { prune })
}

async function apply(backend: TestBackend, document: object, prune = false): Promise<DeclaredPlan> {
  const plan = await planFor(backend, document, prune)
  assert.deepEqual(plan.obstacles, [])
  for (const { calls } of plan.steps)
    for (const { endpoint, params, body, ifMatch } of calls) {
      const request = ifMatch === undefined ? {} : { ifMatch: [ifMatch] }
      const answer = await backend.call(
        endpoint as BackendId,
        { ...(params ? { params } : {}), ...(body ? { body } : {}) },
        request,
      )
      assert.ok(answer.ok, `${endpoint}: ${JSON.stringify(answer)}`)
    }
  return plan
}

const TEMPLATE: Image = {
  ...{ name: 'busybox', kind: 'root', blob: `sha256:${'a'.repeat(64)}` as BlobId, format: 'raw' },
  ...{ virtualSizeBytes: 4 * MIB, createdAt: 0 },
  root: {
    ...{ system: { haltSignal: 'SIGUSR1' }, os: '', architecture: 'amd64', sourceDigest: '0'.repeat(64) },
    ...{ form: 'root', files: 1, contentBytes: 1 },
  },
}
const SECRET = Buffer.from('a secret of sixteen bytes').toString('base64')

const words = ({ steps }: DeclaredPlan) => steps.map(({ what, kind, name }) => `${what} ${kind} ${name}`)

async function empty(context: TestContext): Promise<TestBackend> {
  return TestBackend.start(context, new ClusterFixture(3))
}

const FILE = {
  policy: { cpuOvercommit: 4, admission: { hostFailures: 1 } },
  hosts: [{ name: 'h1', faultDomains: { rack: 'r1' } }],
  projects: [{ name: 'teaching', notes: 'n', quota: { guests: 5 } }],
  roles: [{ name: 'Viewer', privileges: ['guest.view'] }],
  users: [
    { name: 'alice', fullName: 'Alice', expiresAt: '2030-01-01T12:00:00+01:00' },
    { name: 'bob', disabled: true },
  ],
  groups: [{ name: 'pupils', members: ['alice'] }],
  permissions: [{ subject: { kind: 'group', name: 'pupils' }, role: 'Viewer', path: '/projects/teaching' }],
  guests: [
    {
      ...{ name: 'web', project: 'teaching', memoryBytes: 128 * MIB, cpus: 2, boot: { kind: 'disk' } },
      ...{ disks: [{ sizeBytes: GIB }], tags: ['b', 'a'], notes: 'the web', priority: 7, start: true, host: 'h1' },
    },
    { name: 'db', memoryBytes: 128 * MIB, boot: { kind: 'disk' }, disks: [{ sizeBytes: GIB, replicas: 1 }] },
  ],
  rules: [
    { kind: 'group', name: 'both', guests: ['web', 'db'] },
    { kind: 'ban', name: 'no', guests: ['web'], hosts: ['h3'] },
  ],
}

test('what a file says is made in an order in which each finds what it names, and is then there', async (context) => {
  const backend = await empty(context)
  const plan = await apply(backend, FILE)
  assert.deepEqual(words(plan), [
    'change policy policy',
    'change hosts h1',
    'create projects teaching',
    'create roles Viewer',
    'create users alice',
    'create users bob',
    'create groups pupils',
    'create permissions group pupils as Viewer on /projects/teaching',
    'create guests web',
    'create guests db',
    'create rules both',
    'create rules both-order',
    'create rules no',
  ])
  assert.deepEqual(words(await planFor(backend, FILE)), [], 'applied again, nothing is to be done')
  const web = await backend.must('guest.show', { params: { guest: 'web' } })
  assert.deepEqual([web.notes, web.tags.toSorted(), web.priority, web.project], ['the web', ['a', 'b'], 7, 'teaching'])
})

test('what a file does not say stays as it is; of what it says only what differs is changed', async (context) => {
  const backend = await empty(context)
  await apply(backend, FILE)
  const changed = {
    projects: [{ name: 'teaching', quota: { guests: 6 } }],
    users: [{ name: 'bob', disabled: false }],
    groups: [{ name: 'pupils', members: ['bob'] }],
    guests: [
      {
        name: 'web',
        memoryBytes: 256 * MIB,
        boot: { kind: 'disk' },
        disks: [{ sizeBytes: 2 * GIB }],
        project: 'default',
      },
    ],
    rules: [{ kind: 'ban', name: 'no', guests: ['web'], hosts: ['h2'] }],
  }
  const plan = await planFor(backend, changed)
  assert.deepEqual(
    plan.steps.map(({ kind, differences }) => [kind, differences.map(({ path }) => path.join('.')).join()]),
    [
      ['projects', 'quota.guests'],
      ['users', 'disabled'],
      ['groups', 'members'],
      ['guests', 'memoryBytes,project,disks'],
      ['rules', 'hosts'],
    ],
  )
})

test('nothing is deleted unless that is asked for, and then only of kinds of which the file tells', async (context) => {
  const backend = await empty(context)
  await apply(backend, FILE)
  const less = { groups: [], permissions: [], rules: [], users: [{ name: 'alice' }] }
  const plan = await planFor(backend, less)
  assert.deepEqual(plan.steps, [])
  assert.equal(plan.unlisted.length, 6)
  const pruned = await apply(backend, less, true)
  assert.deepEqual(words(pruned).toSorted(), [
    'delete groups pupils',
    'delete permissions group pupils as Viewer on /projects/teaching',
    'delete rules both',
    'delete rules both-order',
    'delete rules no',
    'delete users bob',
  ])
  const { guests, projects } = (await present(backend)).kinds
  assert.deepEqual([guests.size, projects.size], [2, 2])
})

const CERTIFICATE = {
  ...{ names: ['web.example.org', '*.example.org'], email: 'admin@example.org', agreesToTerms: true },
  externalAccount: { keyId: 'account-7', hmacKey: SECRET },
  proof: { kind: 'dns', server: '192.0.2.53', keyName: 'stead', keySecret: SECRET },
}

test('a certificate is ordered as the file says, and exported without the secrets, which are kept', async (context) => {
  const backend = await empty(context)
  assert.deepEqual(words(await apply(backend, { certificate: CERTIFICATE })), ['create certificate certificate'])
  assert.deepEqual(words(await planFor(backend, { certificate: CERTIFICATE })), [])
  const exported = exportedCluster(await present(backend))
  assert.ok(!JSON.stringify(exported).includes(SECRET) && !JSON.stringify(exported).includes('(secret)'))
  assert.deepEqual(words(await planFor(backend, exported)), [])

  const { certificate } = JSON.parse(JSON.stringify(exported)) as { certificate: typeof CERTIFICATE }
  const plan = await apply(backend, { certificate: { names: ['new.example.org'], agreesToTerms: true } })
  assert.deepEqual(
    plan.steps.map(({ what, differences }) => [what, differences.map(({ path }) => path.join('.'))]),
    [['change', ['names']]],
  )
  const changed = (await backend.must('certificate.show')).wanted
  assert.deepEqual(
    [changed?.names, changed?.email, changed?.proof],
    [['new.example.org'], CERTIFICATE.email, { ...certificate.proof, zone: null }],
  )
  const wanted = await backend.store.get('/stead/wanted-certificate')
  assert.ok(wanted.ok && wanted.value?.value.includes(SECRET), 'the secret has stayed')
})

test('where no secret is kept, or it is of another key or server, the file must have it', async (context) => {
  const backend = await empty(context)
  const { keySecret: _none, ...proof } = CERTIFICATE.proof
  const without = { names: ['web.example.org'], agreesToTerms: true as const, proof }
  const obstacles = async (certificate: object) =>
    (await planFor(backend, { certificate })).obstacles.map(({ why }) => why)
  assert.match((await obstacles(without))[0] ?? '', /key stead/)
  await apply(backend, { certificate: { ...without, proof: CERTIFICATE.proof } })
  for (const other of [{ server: '192.0.2.99' }, { keyName: 'other' }, { port: 5353 }]) {
    const certificate = { ...without, proof: { ...proof, ...other } }
    assert.equal((await obstacles(certificate)).length, 1)
    // Whoever calls the API without a plan is told the same.
    const body = { ...certificate, proof: { port: 53, ...certificate.proof } }
    assert.match((await backend.refused('certificate.order', { body: body as never })).message, /not known here/)
  }
  assert.deepEqual(await obstacles({ ...without, names: ['other.example.org'] }), [])
  assert.match((await obstacles({ ...without, externalAccount: { keyId: 'unknown' } }))[0] ?? '', /key unknown/)
})

for (const [what, document, why] of [
  ['a smaller disk', { ...guest('web'), disks: [{ sizeBytes: GIB / 2 }] }, /smaller/],
  ['another number of disks', { ...guest('web'), disks: [] }, /1 disks, not 0/],
  ['other replicas', { ...guest('web'), disks: [{ sizeBytes: GIB, replicas: 3 }] }, /replicas/],
  ['another boot', { ...guest('web'), boot: { kind: 'kernel', kernel: `sha256:${'0'.repeat(64)}` } }, /boot/],
] as const) {
  test(`${what} is no change that a file can make, and is said before anything is done`, async (context) => {
    const backend = await empty(context)
    await apply(backend, FILE)
    const { obstacles, steps } = await planFor(backend, { guests: [document] })
    assert.deepEqual([obstacles.length, steps.length], [1, 0])
    assert.match(obstacles[0]!.why, why)
  })
}

function guest(name: string) {
  return { name, memoryBytes: 128 * MIB, boot: { kind: 'disk' } }
}

for (const [document, message] of [
  [{}, /stead/],
  [{ stead: 2 }, /stead/],
  [{ stead: 1, guest: [] }, /guest: unknown field/],
  [{ stead: 1, guests: [{ name: 'web' }] }, /guests\[0\]/],
  [{ stead: 1, users: [{ name: 'a' }, { name: 'a' }] }, /twice what user a/],
  [null, /not valid/],
  ['x', /not valid/],
] as const) {
  test(`${JSON.stringify(document)} is no such file`, () => {
    const declared = readDeclaredCluster(document)
    assert.ok(!declared.ok)
    assert.match(declared.error.message, message)
  })
}

test('the copy that follows a native root is exported, makes another like it, changes by what is said, and goes', async (context) => {
  const clusterOfBtrfs = () => {
    const cluster = new ClusterFixture(3)
    for (const [id, { value, revision }] of cluster.state.hosts) {
      const pools = [{ name: 'fast', path: '/fast', capacityBytes: 2 ** 40, subvolumes: true as const }]
      cluster.state.hosts.set(id, { value: { ...value, pools, containers: { lxc: '5.0.2' } }, revision })
    }
    cluster.state.images.set('busybox', { value: TEMPLATE, revision: 1n })
    return TestBackend.start(context, cluster)
  }
  const native = (rootCopy: object | null) => ({
    ...{ name: 'fast', memoryBytes: 64 * MIB, boot: { kind: 'container' }, disks: [{ sizeBytes: GIB, replicas: 1 }] },
    ...{ container: { template: 'busybox', root: 'native' }, rootCopy },
  })
  const backend = await clusterOfBtrfs()
  const rootCopy = { to: 'h1', everyMs: 300_000, onLoss: 'start-from-copy' }
  await apply(backend, { guests: [native(rootCopy)] })
  const exported = JSON.parse(JSON.stringify(exportedCluster(await present(backend)))) as DeclaredCluster
  assert.deepEqual(
    exported.guests?.map((guest) => guest['rootCopy']),
    [rootCopy],
  )
  assert.deepEqual(words(await planFor(backend, exported)), [])
  const other = await clusterOfBtrfs()
  await apply(other, exported)
  assert.deepEqual(JSON.parse(JSON.stringify(exportedCluster(await present(other)))), exported)

  const shown = async () => (await backend.must('guest.show', { params: { guest: 'fast' } })).rootCopy
  const plan = await apply(backend, { guests: [native({ everyMs: 600_000, onLoss: 'wait' })] })
  assert.deepEqual(
    plan.steps.flatMap(({ differences }) => differences.map(({ path }) => path.join('.'))),
    ['rootCopy.everyMs', 'rootCopy.onLoss'],
  )
  assert.deepEqual(await shown(), { to: 'h1', everyMs: 600_000, onLoss: 'wait' })
  await apply(backend, { guests: [native({ to: null, everyMs: 600_000, onLoss: 'wait' })] })
  assert.deepEqual(await shown(), { to: null, everyMs: 600_000, onLoss: 'wait' })
  await apply(backend, { guests: [native(null)] })
  assert.equal(await shown(), null)
  assert.deepEqual(words(await planFor(backend, { guests: [native(null)] })), [])
  await apply(await clusterOfBtrfs(), { guests: [native(null)] })
})

const label = fastCheck.stringMatching(/^[a-z][a-z0-9]{0,5}$/)
const names = (prefix: string) =>
  fastCheck.uniqueArray(label, { maxLength: 3 }).map((all) => all.map((name) => `${prefix}${name}`))
const document = fastCheck
  .record({ projects: names('p'), users: names('u'), groups: names('g'), guests: names('v'), seed: fastCheck.nat(99) })
  .map(({ projects, users, groups, guests, seed }) => ({
    policy: { cpuOvercommit: 3 + (seed % 5) },
    projects: projects.map((name, index) => ({
      name,
      ...(index % 2 ? { quota: { guests: seed + 10 } } : { notes: name }),
    })),
    users: users.map((name, index) => ({
      name,
      ...(index % 2 ? { disabled: true } : { fullName: `${name} ${seed}` }),
    })),
    groups: groups.map((name) => ({ name, members: users })),
    permissions: groups.map((name) => ({
      ...{ subject: { kind: 'group', name }, role: 'Auditor', path: '/', propagate: seed % 2 === 0 },
    })),
    guests: guests.map((name, index) => ({
      ...{ name, memoryBytes: (64 + seed) * MIB, cpus: 1 + (seed % 3), boot: { kind: 'disk' } },
      ...{ disks: [{ sizeBytes: (1 + seed) * MIB, replicas: (1 + (seed % 2)) as 1 | 2 }] },
      ...(projects[0] === undefined ? {} : { project: projects[0] }),
      ...(index % 2 ? { tags: ['t'], notes: `n\n${seed}` } : { priority: seed, autostart: index === 0 }),
    })),
    rules: guests.length < 2 ? [] : [{ kind: 'apart', name: 'r', guests, across: 'host', strict: false }],
  }))

test('whatever there is: what is exported is what is there, and makes another cluster like it', async (context) => {
  await fastCheck.assert(
    fastCheck.asyncProperty(document, async (file) => {
      const first = await empty(context)
      await apply(first, file)
      const exported = JSON.parse(JSON.stringify(exportedCluster(await present(first)))) as object
      const { steps, obstacles, unlisted } = planDeclared(read(exported), await present(first), { prune: true })
      assert.deepEqual([words({ steps, obstacles, unlisted }), obstacles], [[], []])
      const second = await empty(context)
      await apply(second, exported)
      assert.deepEqual(exportedCluster(await present(second)), exported)
    }),
    { numRuns: 15 },
  )
})
