/** Signing in by a real OpenID provider and by a real directory. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { webCertificate } from '../../http/web-certificate.ts'
import { SignInCluster, type Answer } from '../sign-in-fixture.ts'
import { BASE, READER, TestDirectory } from './directory-fixture.ts'
import { CLIENT, OpenIdProvider, signInAt } from './openid-provider-fixture.ts'

const DORAS = "Dora's own (password)*"
const codeOf = ({ status, json }: Answer) => json?.code ?? status
const LINK_COOKIE = '__Host-stead-realm-sign-in'
const SESSION_COOKIE = '__Host-stead-session'

async function certified(context: TestContext) {
  const stateDir = await mkdtemp(join(tmpdir(), 'stead-realms-'))
  context.after(() => rm(stateDir, { recursive: true, force: true }))
  const pair = await webCertificate({ hostId: 'realm', clusterName: 'realm', addresses: {}, stateDir }, Date.now())
  assert.ok(pair.ok)
  const certificates = pair.value.certificate.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return { pair: pair.value, authority: certificates.at(-1) ?? '' }
}

async function withDirectory(context: TestContext, more: object = {}, service: object = {}) {
  const { pair, authority } = await certified(context)
  const directory = await TestDirectory.start(context, pair)
  const cluster = await SignInCluster.start(context)
  await cluster.backend.must('group.create', { body: { name: 'staff' } })
  await cluster.backend.must('group.create', { body: { name: 'readers' } })
  const settings = {
    ...{ kind: 'ldap', urls: [directory.ldaps], baseDn: BASE, authority },
    ...{ bindDn: READER.dn, bindPassword: READER.password, userAttribute: 'uid', ...service },
  }
  await cluster.backend.must('realm.add', {
    body: { name: 'campus', makesUsers: true, groups: [], service: settings as never, ...more },
  })
  return { cluster, directory, authority }
}

async function withProvider(context: TestContext, more: object = {}, service: object = {}) {
  const { pair, authority } = await certified(context)
  const cluster = await SignInCluster.start(context)
  const redirects = cluster.ports.slice(0, 2).map((port) => `http://127.0.0.1:${port}/sign-in/realm`)
  const provider = await OpenIdProvider.start(context, pair, redirects)
  provider.accounts.set('olga', {
    ...{ sub: '1001', preferred_username: 'Olga', name: 'Olga O', email: 'olga@example.org', email_verified: true },
    groups: ['/ops', 'everybody'],
  })
  await cluster.backend.must('group.create', { body: { name: 'staff' } })
  const settings = {
    ...{ kind: 'oidc', issuer: provider.issuer, clientId: CLIENT.id, clientSecret: CLIENT.secret, authority },
    ...{ scope: 'openid profile email', userClaim: 'preferred_username', groupsClaim: 'groups', ...service },
  }
  await cluster.backend.must('realm.add', {
    body: {
      name: 'sso',
      makesUsers: true,
      groups: [{ theirs: '/ops', ours: 'staff' }],
      service: settings as never,
      ...more,
    },
  })
  const begin = (form: 'cookie' | 'token' = 'cookie') =>
    cluster.h1('POST', '/v1/auth/oidc', { body: { realm: 'sso', form } })
  const atProvider = (begun: Answer, name = 'olga') => signInAt(begun.json.url, redirects[0] ?? '', name, authority)
  const finish = (answer: string, asked: { cookies?: Record<string, string>; sealed?: string }, ask = cluster.h1) =>
    ask('POST', '/v1/auth/oidc/answer', {
      body: { answer, ...(asked.sealed === undefined ? {} : { sealed: asked.sealed }) },
      cookies: asked.cookies ?? {},
    })
  /** All of it, as a browser. */
  const signIn = async (name = 'olga') => {
    const begun = await begin()
    return finish(await atProvider(begun, name), { cookies: begun.cookies })
  }
  return { cluster, provider, begin, atProvider, finish, signIn, redirect: redirects[0] ?? '' }
}

test('who has the right password of the directory comes in, becomes a user, and is in the groups that the directory says', async (context) => {
  const { cluster, directory } = await withDirectory(context, {
    groups: [
      { theirs: 'ADMINS', ours: 'staff' },
      { theirs: `cn=everybody,ou=groups,${BASE}`, ours: 'readers' },
    ],
  })
  const { backend, h2 } = cluster
  const first = await cluster.signIn('dora@campus', DORAS)
  assert.equal(first.status, 200, JSON.stringify(first.json))
  const who = await h2('GET', '/v1/auth/whoami', { token: first.json.token })
  assert.deepEqual([who.json.name, who.json.groups.toSorted()], ['dora@campus', ['readers', 'staff']])
  const user = await backend.must('user.show', { params: { user: 'dora@campus' } })
  assert.deepEqual([user.realm, user.fullName, user.email], ['campus', 'Dora D', 'dora@example.org'])

  await backend.must('group.set', { params: { group: 'staff' }, body: { add: [], remove: [], notes: 'kept' } })
  await directory.modify(`dn: cn=admins,ou=groups,${BASE}
changetype: modify
replace: member
member: uid=emil,ou=people,${BASE}
`)
  await cluster.signIn('dora@campus', DORAS)
  const groups = (await backend.must('user.show', { params: { user: 'dora@campus' } })).groups
  assert.deepEqual(groups, ['readers'])
})

test('a wrong, an empty and no password are refused, as are names that are filters, and all in the words for strangers', async (context) => {
  const { cluster } = await withDirectory(context)
  const answers = new Set<string>()
  for (const [user, password] of [
    ['dora@campus', 'not hers'],
    ['dora@campus', ''],
    ['nobody@campus', DORAS],
    ['*@campus', DORAS],
    ['dora)(uid=*@campus', DORAS],
    ['d*@campus', DORAS],
    ['dora\u0000@campus', DORAS],
    [`cn=reader,${BASE}@campus`, READER.password],
    ['@campus', DORAS],
  ] as const) {
    cluster.pass(3_600_000)
    const { json, status } = await cluster.signIn(user, password)
    assert.equal(status, 401, `${user}: ${JSON.stringify(json)}`)
    answers.add(JSON.stringify(json))
  }
  assert.equal(answers.size, 1)
  const users = await cluster.backend.must('user.list', {})
  assert.deepEqual(users.items, [])
})

test('wrong passwords of a directory are slowed down as others are', async (context) => {
  const { cluster } = await withDirectory(context)
  for (let count = 0; count < 6; count++) await cluster.signIn('dora@campus', 'not hers')
  assert.equal((await cluster.signIn('dora@campus', DORAS)).status, 429)
})

test('only users that are known come in where the realm makes none; disabled ones and those that a filter leaves out never do', async (context) => {
  const { cluster } = await withDirectory(context, { makesUsers: false }, { userFilter: '(!(title=left))' })
  const { backend } = cluster
  const unknown = await cluster.signIn('dora@campus', DORAS)
  assert.deepEqual([unknown.status, unknown.json.title], [403, 'Not permitted'])
  assert.match(unknown.json.hint, /stead user create dora@campus/)
  await backend.must('user.create', { body: { name: 'dora@campus' } })
  assert.equal((await cluster.signIn('dora@campus', DORAS)).status, 200)
  await backend.must('user.set', { params: { user: 'dora@campus' }, body: { disabled: true } })
  assert.equal((await cluster.signIn('dora@campus', DORAS)).status, 401)
  await backend.must('user.create', { body: { name: 'emil@campus' } })
  assert.equal((await cluster.signIn('emil@campus', 'emil has left')).status, 401)
})

test('who gets the name of somebody who has left is not let in as him', async (context) => {
  const { cluster, directory } = await withDirectory(context)
  assert.equal((await cluster.signIn('dora@campus', DORAS)).status, 200)
  await directory.modify(`dn: uid=dora,ou=people,${BASE}
changetype: delete

dn: uid=dora,ou=people,${BASE}
changetype: add
objectClass: inetOrgPerson
uid: dora
cn: Another Dora
sn: D
userPassword: ${DORAS}
`)
  const other = await cluster.signIn('dora@campus', DORAS)
  assert.equal(other.status, 403)
  assert.match(other.json.detail, /was somebody else/)
  await cluster.backend.must('user.delete', { params: { user: 'dora@campus' } })
  assert.equal((await cluster.signIn('dora@campus', DORAS)).status, 200)
})

test('a directory whose certificate is not the right one gets no password; StartTLS is one way as good as the other', async (context) => {
  const { cluster, directory, authority } = await withDirectory(context)
  const { backend } = cluster
  const set = (service: object) =>
    backend.must('realm.set', { params: { realm: 'campus' }, body: { service: { kind: 'ldap', ...service } } })
  await set({ urls: [directory.ldap] })
  const started = await cluster.signIn('dora@campus', DORAS)
  assert.equal(started.status, 200, JSON.stringify(started.json))
  for (const url of [directory.ldap, directory.ldaps]) {
    await set({ urls: [url.replace('127.0.0.1', 'localhost')], authority })
    const wrongName = await cluster.signIn('dora@campus', DORAS)
    assert.equal(codeOf(wrongName), 'realm_unreachable', JSON.stringify(wrongName.json))
    await set({ urls: [url], authority: null })
    assert.equal(codeOf(await cluster.signIn('dora@campus', DORAS)), 'realm_unreachable')
  }
})

test('while a directory cannot be reached its users are told so, nobody is slowed down, the cluster\u2019s own come in, and another server stands in', async (context) => {
  const { cluster, directory } = await withDirectory(context)
  const { backend } = cluster
  await cluster.user('alice')
  const set = (urls: string[]) =>
    backend.must('realm.set', { params: { realm: 'campus' }, body: { service: { kind: 'ldap', urls } } })
  await set(['ldaps://127.0.0.1:1'])
  for (let count = 0; count < 8; count++)
    assert.equal(codeOf(await cluster.signIn('dora@campus', DORAS)), 'realm_unreachable')
  assert.equal((await cluster.signIn('alice')).status, 200)
  await set(['ldaps://127.0.0.1:1', directory.ldaps])
  assert.equal((await cluster.signIn('dora@campus', DORAS)).status, 200)
})

test('a test of the realm tells whether it answers and what it knows of a user; its password is shown nowhere', async (context) => {
  const { cluster } = await withDirectory(context, { groups: [{ theirs: 'admins', ours: 'staff' }] })
  const { backend } = cluster
  const params = { realm: 'campus' }
  const told = await backend.must('realm.test', { params, body: { user: 'dora' } })
  assert.deepEqual([told.user?.name, told.user?.known, told.user?.ours], ['dora@campus', false, ['staff']])
  assert.equal((await backend.refused('realm.test', { params, body: { user: 'nobody' } })).code, 'not_found')
  await backend.must('realm.set', { params, body: { service: { kind: 'ldap', bindPassword: 'wrong' } } })
  assert.match((await backend.refused('realm.test', { params, body: {} })).message, /refuses/)
  const audit = await backend.store.range('/stead/audit/')
  assert.ok(audit.ok)
  const shown = JSON.stringify([
    await backend.must('realm.show', { params }),
    await backend.must('realm.list', {}),
    audit.value.entries.map(({ value }) => value),
  ])
  assert.ok(!shown.includes(READER.password) && shown.includes('(secret)'))
})

test('by an OpenID realm a browser comes in, with the groups that it says; a second factor here is still asked for', async (context) => {
  const { cluster, signIn } = await withProvider(context)
  const { backend, h2 } = cluster
  const done = await signIn()
  assert.equal(done.status, 200, JSON.stringify(done.json))
  const who = await h2('GET', '/v1/auth/whoami', { cookies: done.cookies })
  assert.deepEqual([who.json.name, who.json.groups], ['olga@sso', ['staff']])
  const user = await backend.must('user.show', { params: { user: 'olga@sso' } })
  assert.deepEqual([user.fullName, user.email], ['Olga O', 'olga@example.org'])
  await backend.must('group.set', {
    params: { group: 'staff' },
    body: { add: [], remove: [], demandsSecondFactor: true },
  })
  assert.equal((await signIn()).json.must, 'add-second-factor')
  const params = { realm: 'sso' }
  await backend.must('realm.set', { params, body: { service: { kind: 'oidc', checksSecondFactor: true } } })
  assert.equal((await signIn()).json.must, null)
})

test('an answer is good in the browser that began, once, for ten minutes, on any host, and for nobody else', async (context) => {
  const { cluster, begin, atProvider, finish } = await withProvider(context)
  const begun = await begin()
  const answer = await atProvider(begun)
  assert.equal(codeOf(await finish(answer, {})), 'unauthorized')
  const other = await begin()
  assert.equal(codeOf(await finish(answer, { cookies: other.cookies })), 'unauthorized', 'another state')
  const cookie = begun.cookies[LINK_COOKIE] ?? ''
  const forged = { [LINK_COOKIE]: `${cookie.slice(0, -2)}${cookie.endsWith('A') ? 'BB' : 'AA'}` }
  assert.equal(codeOf(await finish(answer, { cookies: forged })), 'unauthorized')
  assert.equal(codeOf(await finish(answer, { sealed: cookie })), 'unauthorized', 'a cookie is no token')
  const done = await finish(answer, { cookies: begun.cookies }, cluster.h2)
  assert.equal(done.status, 200, JSON.stringify(done.json))
  assert.ok(done.cookies[SESSION_COOKIE])
  assert.equal(codeOf(await finish(answer, { cookies: begun.cookies })), 'unauthorized', 'twice')
  const late = await begin()
  const lateAnswer = await atProvider(late)
  cluster.pass(11 * 60_000)
  assert.equal(codeOf(await finish(lateAnswer, { cookies: late.cookies })), 'unauthorized')
})

test('the command line signs in by what the last page shows, and its token is no cookie', async (context) => {
  const { cluster, begin, atProvider, finish } = await withProvider(context)
  const begun = await begin('token')
  const answer = await atProvider(begun)
  assert.match(new URLSearchParams(answer).get('state') ?? '', /^cli\./)
  assert.equal(codeOf(await finish(answer, { cookies: { [LINK_COOKIE]: begun.json.sealed } })), 'unauthorized')
  const done = await finish(answer, { sealed: begun.json.sealed })
  assert.equal((await cluster.h1('GET', '/v1/auth/whoami', { token: done.json.token })).json.name, 'olga@sso')
  assert.equal(done.cookies[SESSION_COOKIE], undefined)
})

test('who the provider refuses, who has another person\u2019s name, or none that can be one, does not come in', async (context) => {
  const { cluster, provider, begin, finish, signIn } = await withProvider(context)
  const begun = await begin()
  const state = new URL(begun.json.url).searchParams.get('state') ?? ''
  const refused = `error=access_denied&error_description=<b>x&state=${state}&iss=${encodeURIComponent(provider.issuer)}`
  const answer = await finish(refused, { cookies: begun.cookies })
  assert.equal(codeOf(answer), 'forbidden')
  assert.ok(!JSON.stringify(answer.json).includes('<b>'))
  assert.equal((await signIn()).status, 200)
  provider.accounts.set('other', { sub: '2002', preferred_username: 'olga' })
  const taken = await signIn('other')
  assert.match(taken.json.detail, /was somebody else/)
  provider.accounts.set('blank', { sub: '3', preferred_username: 'Two Words' })
  assert.equal(codeOf(await signIn('blank')), 'forbidden')
  provider.accounts.set('none', { sub: '4' })
  assert.match((await signIn('none')).json.detail, /preferred_username/)
  provider.accounts.set('at', { sub: '5', preferred_username: 'root@local' })
  assert.equal(codeOf(await signIn('at')), 'forbidden')
  assert.deepEqual(
    (await cluster.backend.must('user.list', {})).items.map(({ name }) => name),
    ['olga@sso'],
  )
})

test('names may end in one domain, and addresses that were not verified are nobody\u2019s', async (context) => {
  const { cluster, provider, signIn } = await withProvider(context, {}, { userClaim: 'email', domain: 'example.org' })
  assert.equal((await signIn()).json.user, 'olga@sso')
  provider.accounts.set('mallory', { sub: '9', email: 'olga@example.org', email_verified: false })
  assert.equal(codeOf(await signIn('mallory')), 'forbidden')
  provider.accounts.set('elsewhere', { sub: '10', email: 'olga@example.com', email_verified: true })
  assert.equal(codeOf(await signIn('elsewhere')), 'forbidden')
  assert.equal((await cluster.backend.must('user.list', {})).items.length, 1)
})

test('a provider that is another one than it says, or cannot be reached, or knows another secret, lets nobody in', async (context) => {
  const { cluster, provider, begin, atProvider, finish } = await withProvider(context)
  const { backend } = cluster
  const params = { realm: 'sso' }
  const set = (service: object) =>
    backend.must('realm.set', { params, body: { service: { kind: 'oidc', ...service } } })
  const begun = await begin()
  const answer = await atProvider(begun)
  await set({ clientSecret: 'another' })
  const refused = await finish(answer, { cookies: begun.cookies })
  assert.match(refused.json.hint, /client secret/)
  await set({ issuer: `${provider.issuer}/elsewhere` })
  assert.equal(codeOf(await begin()), 'realm_unreachable')
  await set({ issuer: provider.issuer, authority: null })
  assert.equal(codeOf(await begin()), 'realm_unreachable', 'a certificate of nobody')
  await backend.must('realm.set', { params, body: { disabled: true } })
  assert.equal(codeOf(await begin()), 'forbidden')
  assert.deepEqual((await cluster.h1('GET', '/v1/auth/realms')).json.items, [])
})

test('a password is not asked for by who has none here', async (context) => {
  const { cluster, begin, atProvider, finish } = await withProvider(context)
  const wrong = await cluster.signIn('olga@sso', 'whatever')
  assert.match(wrong.json.detail, /signs in on the page of sso/)
  const begun = await begin('token')
  const { json } = await finish(await atProvider(begun), { sealed: begun.json.sealed })
  const asked = { token: json.token, body: { current: 'x', next: 'a very long password' } }
  assert.equal(codeOf(await cluster.h1('PUT', '/v1/auth/password', asked)), 'conflict')
  const removed = await cluster.backend.refused('realm.remove', { params: { realm: 'sso' } })
  assert.equal(removed.code, 'conflict')
})
