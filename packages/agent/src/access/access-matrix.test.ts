/** Every endpoint against every role, as docs/operating/access-matrix.md shows it. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Endpoint } from '@stead/api/endpoint.ts'
import { ALL_ENDPOINTS } from '@stead/api/endpoints.ts'
import { BUILT_IN_ROLES } from '@stead/core/access/privilege.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { AccessPermission, Principal } from '@stead/core/model/access.ts'
import type { BackupId } from '@stead/core/model/backup.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import type { ApiBackend } from '../http/backend.ts'
import { realClock } from '../real-clock.ts'
import { ITEM_PATHS } from './visible-items.ts'
import { guardedBackend } from './guarded-backend.ts'

const DOCUMENT = join(import.meta.dirname, '../../../../docs/operating/access-matrix.md')
/** Answered by the server itself, and to whoever shows a ticket that `console.open` has given. */
const NOT_OF_BACKEND = new Set(['openapi.show', 'console.connect'])
const ENDPOINTS = ALL_ENDPOINTS.filter(({ id }) => !NOT_OF_BACKEND.has(id))
const PUBLIC = ENDPOINTS.filter((endpoint) => endpoint.public)
const ROLES = [...BUILT_IN_ROLES.map(({ name }) => name), 'nobody']

type Outcome = 'permitted' | 'forbidden' | 'hidden' | 'unauthorized'
type Handler = (input: unknown, context: unknown) => Promise<Result<unknown>>

/** One user a role, who has it on `path`; `nobody` has none. There is one of each kind of object, and another guest. */
async function cluster(context: TestContext, path: string) {
  const fixture = new ClusterFixture(3)
  fixture.guestWithDisk('web', ['h1', 'h2'])
  fixture.guestWithDisk('other', ['h2', 'h3'])
  const backend = await TestBackend.start(context, fixture)
  const blob = `sha256:${'0'.repeat(64)}`
  const system = { haltSignal: 'SIGPWR' }
  const root = { ...{ system, os: '', architecture: '', sourceDigest: '', form: 'root', files: 1, contentBytes: 1 } }
  const image = { blob, format: 'raw', virtualSizeBytes: 2 ** 20, createdAt: 0 }
  await backend.put(KEYS.image('debian'), { name: 'debian', ...image })
  await backend.put(KEYS.image('tiny@1'), { name: 'tiny@1', kind: 'root', root, ...image })
  await backend.put(KEYS.backup('b1' as BackupId), {
    ...{ id: 'b1', guest: 'guest-gone', guestName: 'gone', host: 'h1', mode: 'stop', compress: 'zstd' },
    ...{ createdAt: 0, expiresAt: 4_102_444_800_000 },
  })
  for (const role of ROLES) {
    const name = role.toLowerCase()
    await backend.put(KEYS.user(name), { name, realm: 'local', createdAt: 0 })
    const permission: AccessPermission = { id: name, subject: { kind: 'user', name }, role, path, propagate: true }
    if (role !== 'nobody') await backend.put(KEYS.permission(name), permission)
  }
  await backend.must('rule.create', { body: { kind: 'ban', name: 'r', guests: ['web'], hosts: ['h3'] } })
  await backend.must('schedule.add', {
    params: { guest: 'web' },
    body: { name: 's', action: 'stop', cron: '0 22 * * *' },
  })
  const operation = [...backend.mirror.state.operations.values()].find(({ value }) => value.kind === 'rule.create')!
  const params = {
    ...{ host: 'h1', project: 'default', guest: 'web', volume: 'volumeweb', image: 'debian', template: 'tiny@1' },
    ...{ backup: 'b1' },
    ...{ operation: operation.value.id, event: backend.events().find(({ kind }) => kind === 'rule.created')!.id },
  }
  return { backend, params, ask: asking(backend, params) }
}

/** What the guard lets through reaches a back end that does nothing, but for what it must filter. */
function asking(backend: TestBackend, params: Readonly<Record<string, string>>) {
  const reached = ENDPOINTS.map(({ id, on }): [string, Handler | undefined] => {
    const real = (backend.unguarded as unknown as Record<string, Handler>)[id]
    return [id, (on in ITEM_PATHS || on === 'views') && isFiltered(on) ? real : async () => ok('reached')]
  })
  reached.push(['usage.list', async () => ok({ items: [{ project: 'default' }] })])
  // No guest of the fixture runs, so there are no figures.
  reached.push(['counter.list', async () => ok({ items: [{ guest: 'web', id: 'guest-web' }] })])
  const guarded = guardedBackend(Object.fromEntries(reached) as ApiBackend, {
    mirror: backend.mirror,
    clock: realClock,
    audit: { denied() {} },
  })
  return async (endpoint: Endpoint, principal: Principal, own: Readonly<Record<string, string>> = {}) => {
    const handler = (guarded as unknown as Record<string, Handler>)[endpoint.id] as Handler
    const input = { params: { ...params, ...own }, query: {}, body: { disks: [] } }
    return outcomeOf(await handler(input, { principal, signal: AbortSignal.timeout(10_000) }))
  }
}

/** Of these the answer tells. */
function isFiltered(on: Endpoint['on']): boolean {
  return /s$|^operation$|^event$/.test(on) && on !== 'access'
}

function outcomeOf(answer: Result<unknown>): Outcome {
  if (answer.ok) {
    const { items, changes } = answer.value as { items?: readonly unknown[]; changes?: readonly unknown[] }
    return (items ?? changes)?.length === 0 ? 'hidden' : 'permitted'
  }
  if (answer.error.code === 'not_found') return 'hidden'
  assert.ok(answer.error.code === 'forbidden' || answer.error.code === 'unauthorized', JSON.stringify(answer.error))
  return answer.error.code
}

const user = (role: string): Principal => ({ kind: 'user', name: role.toLowerCase() })

test('of the whole cluster everybody may what his role lists, and nothing else', async (context) => {
  const { ask } = await cluster(context, '/')
  for (const endpoint of ENDPOINTS) {
    for (const name of ROLES) {
      const role = BUILT_IN_ROLES.find((one) => one.name === name)
      // Of views whoever sees any; which ones is tested with them.
      const may =
        (endpoint.permission === 'none' && endpoint.on === 'self') ||
        role?.privileges.some((one) => one === (endpoint.on === 'views' ? 'guest.view' : endpoint.permission)) === true
      assert.equal((await ask(endpoint, user(name))) === 'permitted', may, `${name}: ${endpoint.id}`)
    }
  }
})

test('a role on one guest is good for that guest, and other guests do not exist', async (context) => {
  const { ask } = await cluster(context, '/projects/default/guests/guest-web')
  for (const endpoint of ENDPOINTS.filter(({ on }) => on === 'guest' || on === 'volume')) {
    for (const name of ROLES) {
      const role = BUILT_IN_ROLES.find((one) => one.name === name)
      const may = role?.privileges.includes(endpoint.permission as never) === true
      assert.equal((await ask(endpoint, user(name))) === 'permitted', may, `${name}: ${endpoint.id}`)
      const other = await ask(endpoint, user(name), { guest: 'other', volume: 'volumeother' })
      assert.equal(other, 'hidden', `${name}: ${endpoint.id} of another guest`)
      assert.equal(await ask(endpoint, user(name), { guest: 'none', volume: 'none' }), 'hidden')
    }
  }
})

test('a role on one guest is good for nothing else', async (context) => {
  const { ask } = await cluster(context, '/projects/default/guests/guest-web')
  const elsewhere = ENDPOINTS.filter(({ on }) => !/^(guest|volume|operation|event|view)s?$|^self$/.test(on))
  assert.ok(elsewhere.length > 40)
  for (const endpoint of elsewhere)
    for (const name of ROLES) assert.notEqual(await ask(endpoint, user(name)), 'permitted', `${name}: ${endpoint.id}`)
})

test('nobody who is unknown, and no token or session that is unknown, may anything', async (context) => {
  const { ask } = await cluster(context, '/')
  for (const endpoint of ENDPOINTS.filter((one) => !one.public)) {
    assert.equal(await ask(endpoint, { kind: 'user', name: 'stranger' }), 'unauthorized', endpoint.id)
    assert.equal(await ask(endpoint, { kind: 'token', user: 'administrator', name: 'x' }), 'unauthorized', endpoint.id)
    const ended: Principal = { kind: 'user', name: 'administrator', session: 'ended' }
    assert.equal(await ask(endpoint, ended), 'unauthorized', endpoint.id)
    assert.equal(await ask(endpoint, { kind: 'nobody' }), 'unauthorized', endpoint.id)
  }
})

test('before anybody has shown who he is, he may sign in and nothing else', async (context) => {
  const { ask } = await cluster(context, '/')
  assert.deepEqual(
    PUBLIC.map(({ id }) => id),
    [
      ...['auth.sign-in', 'auth.second-factor', 'auth.realms', 'auth.oidc-begin', 'auth.oidc-finish'],
      ...['auth.begin-key', 'auth.key'],
    ],
  )
  for (const endpoint of PUBLIC) assert.equal(await ask(endpoint, { kind: 'nobody' }), 'permitted')
})

test('root of a host may everything', async (context) => {
  const { ask } = await cluster(context, '/')
  for (const endpoint of ENDPOINTS)
    assert.equal(await ask(endpoint, { kind: 'root', host: 'h1' }), 'permitted', endpoint.id)
})

test('the document shows the matrix as it is', async (context) => {
  const { ask } = await cluster(context, '/')
  const rows: string[] = []
  for (const endpoint of ENDPOINTS.toSorted((a, b) => a.id.localeCompare(b.id))) {
    const cells: string[] = []
    for (const name of ROLES) cells.push((await ask(endpoint, user(name))) === 'permitted' ? 'yes' : '–')
    const { id, permission, on } = endpoint
    rows.push(`| \`${id}\` | ${permission === 'none' ? '' : `\`${permission}\``} | ${on} | ${cells.join(' | ')} |`)
  }
  const text = `${HEAD}\n| endpoint | privilege | on | ${ROLES.join(' | ')} |\n|${'---|'.repeat(ROLES.length + 3)}\n${rows.join('\n')}\n`
  if (process.env['STEAD_WRITE_DOCUMENTS']) await writeFile(DOCUMENT, text)
  const hint = 'write it anew: STEAD_WRITE_DOCUMENTS=1 ./dev test unit --filter access-matrix'
  assert.equal(await readFile(DOCUMENT, 'utf8'), text, hint)
})

const HEAD = `# Who may what: every endpoint and every role

Asked of a real back end by a test, for users who have the role on \`/\`; on other paths it is good for what lies there.
Lists show only what may be seen. Lines without a privilege are about who asks, or show what other endpoints show, each
with the privilege of its own; auth.sign-in, auth.second-factor, auth.realms, auth.oidc-begin, auth.oidc-finish,
auth.begin-key and auth.key are open to whoever reaches the port. What roles and paths are:
[access](access.md).
`
