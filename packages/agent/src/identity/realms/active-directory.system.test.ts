/** Signing in by a real Active Directory. In namespaces of its own: a domain controller has its ports at fixed numbers. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { webCertificate } from '../../http/web-certificate.ts'
import { SignInCluster, type Answer } from '../sign-in-fixture.ts'
import { DOMAIN, group, person, READER, STAFF, TestDomain } from './active-directory-fixture.ts'

const OWN = 'STEAD_TEST_HAS_OWN_NAMESPACES'
const isRoot = process.getuid?.() === 0

const DORAS = 'Doras-own-pass1'
const EMILS = 'Emils-own-pass1'
const FAYS = 'Fays-own-pass1'
const GUSS = 'Guss-own-pass1'
const IDAS = 'Idas-own-pass1'
/** With a comma and brackets, which mean something in DNs and in filters. */
const DORA = 'Dora (D\\, Staff)'
/** 2012. */
const LONG_AGO = 'accountExpires: 130000000000000000'

const codeOf = ({ status, json }: Answer) => json?.code ?? status

if (process.env[OWN] === undefined) {
  it('has a network of its own', { skip: isRoot ? false : 'needs root' }, async () => {
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env
    const enter = ['--net', '--mount', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc']
    const args = [...enter, process.execPath, '--test-reporter=spec', fileURLToPath(import.meta.url)]
    const child = spawn('unshare', args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...env, [OWN]: '1' } })
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })
} else {
  describe('a realm that is an Active Directory', { timeout: 300_000 }, () => {
    const ends: (() => unknown)[] = []
    let domain: TestDomain
    let authority: string

    before(async () => {
      const context = { after: (end: () => unknown) => void ends.push(end) }
      execFileSync('ip', ['link', 'set', 'lo', 'up'])
      const stateDir = await mkdtemp(join(tmpdir(), 'stead-domain-realm-'))
      context.after(() => rm(stateDir, { recursive: true, force: true }))
      const pair = await webCertificate({ hostId: 'dc', clusterName: 'dc', addresses: {}, stateDir }, Date.now())
      assert.ok(pair.ok)
      authority =
        pair.value.certificate.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.at(-1) ?? ''
      domain = await TestDomain.start(context, pair.value)
      await domain.modify(
        `dn: ${STAFF}\nchangetype: add\nobjectClass: organizationalUnit`,
        person('Reader', READER.name, READER.password),
        person(DORA, 'Dora', DORAS, [
          `userPrincipalName: dora.d@${DOMAIN}`,
          'displayName: Dora D',
          'mail: dora@example.org',
        ]),
        person('Emil', 'emil', EMILS),
        person('Fay', 'fay', FAYS, [LONG_AGO]),
        person('Gus', 'gus', GUSS, ['pwdLastSet: 0']),
        person('Ida', 'ida', IDAS),
        group('inner', DORA),
        group('middle', 'inner'),
        group('outer', 'middle'),
      )
      await domain.modify(changed('Emil', 'userAccountControl', '514'))
    })
    after(async () => {
      for (const end of ends.toReversed()) await end()
    })

    /** A cluster with nothing said of the domain but what an administrator must say. */
    async function withDomain(context: TestContext, more: object = {}, service: object = {}) {
      const cluster = await SignInCluster.start(context)
      await cluster.backend.must('group.create', { body: { name: 'staff' } })
      await cluster.backend.must('realm.add', {
        body: {
          ...{ name: 'corp', makesUsers: true, groups: [{ theirs: 'OUTER', ours: 'staff' }] },
          service: {
            ...{ kind: 'ldap', activeDirectory: DOMAIN, urls: [domain.ldaps], authority },
            ...{ bindDn: READER.name, bindPassword: READER.password, ...service },
          } as never,
          ...more,
        },
      })
      const usersOf = async () => (await cluster.backend.must('user.list', {})).items.map(({ name }) => name)
      return { cluster, backend: cluster.backend, usersOf }
    }

    it('lets in by the name of the account or the principal name, who is one user by either, and in the groups of his groups', async (context) => {
      const { cluster, backend, usersOf } = await withDomain(context)
      for (const typed of ['dora@corp', 'dora.d@corp', 'dora@corp']) {
        const { status, json } = await cluster.signIn(typed, DORAS)
        assert.deepEqual([status, json.user], [200, 'dora@corp'], JSON.stringify(json))
      }
      assert.deepEqual(await usersOf(), ['dora@corp'])
      const user = await backend.must('user.show', { params: { user: 'dora@corp' } })
      assert.deepEqual([user.fullName, user.email, user.groups], ['Dora D', 'dora@example.org', ['staff']])
    })

    it('asks by StartTLS too, never without TLS, and goes on to the next controller when one is down', async (context) => {
      const { cluster, backend } = await withDomain(context, {}, { urls: ['ldaps://127.0.0.1:1', domain.ldap] })
      assert.equal((await cluster.signIn('dora@corp', DORAS)).status, 200)
      const service = { kind: 'ldap' as const, authority: null }
      await backend.must('realm.set', { params: { realm: 'corp' }, body: { service } })
      assert.equal(codeOf(await cluster.signIn('dora@corp', DORAS)), 'realm_unreachable')
    })

    it('knows the primary group, groups by DN and by SID, and hundreds of them', async (context) => {
      const names = Array.from({ length: 250 }, (_, index) => `many-${index}`)
      await domain.modify(...names.map((name) => group(name, 'Ida')))
      const { backend } = await withDomain(context)
      const { user } = await backend.must('realm.test', { params: { realm: 'corp' }, body: { user: 'ida' } })
      const theirs = new Set(user?.theirs)
      assert.deepEqual(
        names.filter((name) => !theirs.has(name) || !theirs.has(`CN=${name},${STAFF}`)),
        [],
      )
      assert.ok(theirs.has('Domain Users') && theirs.has('Users'), 'the primary group, and the one that it is in')
      const sid = [...theirs].find((name) => /^S-1-5-21-.*-513$/.test(name)) ?? ''
      const groups = [{ theirs: sid, ours: 'staff' }]
      await backend.must('realm.set', { params: { realm: 'corp' }, body: { groups } })
      const again = await backend.must('realm.test', { params: { realm: 'corp' }, body: { user: 'ida' } })
      assert.deepEqual(again.user?.ours, ['staff'])
    })

    it('tells who has the right password what keeps him out, and nobody else; an administrator sees it', async (context) => {
      const { cluster, backend, usersOf } = await withDomain(context)
      for (const [name, password, told, barrier] of [
        ['emil', EMILS, /account is disabled/, 'disabled'],
        ['fay', FAYS, /account has expired/, 'expired'],
        ['gus', GUSS, /choose a new password/, 'must-change-password'],
      ] as const) {
        const right = await cluster.signIn(`${name}@corp`, password)
        assert.equal(right.status, 403, JSON.stringify(right.json))
        assert.match(right.json.detail, told)
        const wrong = await cluster.signIn(`${name}@corp`, 'not his own')
        const nobody = await cluster.signIn('nobody@corp', 'not his own')
        assert.deepEqual([wrong.status, wrong.json], [401, nobody.json])
        const { user } = await backend.must('realm.test', { params: { realm: 'corp' }, body: { user: name } })
        assert.deepEqual(user?.barriers, [barrier])
      }
      assert.deepEqual(await usersOf(), [])
    })

    it('lets nobody in whose account is locked there, and tells only the audit and administrators', async (context) => {
      const { cluster, backend } = await withDomain(context)
      await domain.lockAfter(2)
      context.after(() => domain.lockAfter(0))
      const wrong = await cluster.signIn('ida@corp', 'not hers')
      for (let count = 0; count < 3; count++) await cluster.signIn('ida@corp', 'not hers')
      cluster.pass(3_600_000)
      const locked = await cluster.signIn('ida@corp', IDAS)
      assert.deepEqual([locked.status, locked.json], [401, wrong.json])
      const { user } = await backend.must('realm.test', { params: { realm: 'corp' }, body: { user: 'ida' } })
      assert.deepEqual(user?.barriers, ['locked'])
      // It is written after the answer.
      for (let tries = 0; tries < 50; tries++) await new Promise((resolve) => setImmediate(resolve))
      const audit = await backend.store.range('/stead/audit/')
      assert.ok(audit.ok && JSON.stringify(audit.value.entries.map(({ value }) => value)).includes('locked in corp'))
    })

    it('takes who was renamed for the same user, and who got the old name for another', async (context) => {
      const { cluster, usersOf } = await withDomain(context)
      await domain.modify(person('Jo', 'jo', DORAS))
      assert.equal((await cluster.signIn('jo@corp', DORAS)).json.user, 'jo@corp')
      await domain.modify(
        changed('Jo', 'sAMAccountName', 'jo.smith'),
        `dn: CN=Jo,${STAFF}\nchangetype: modrdn\nnewrdn: CN=Jo Smith\ndeleteoldrdn: 1`,
        person('Jo', 'jo', EMILS),
      )
      const renamed = await cluster.signIn('jo.smith@corp', DORAS)
      assert.deepEqual([renamed.status, renamed.json.user], [200, 'jo@corp'], JSON.stringify(renamed.json))
      const other = await cluster.signIn('jo@corp', EMILS)
      assert.equal(other.status, 403)
      assert.match(other.json.detail, /was somebody else/)
      assert.deepEqual(await usersOf(), ['jo@corp'])
    })

    it('takes nothing in a name for a filter, and no computer for a person', async (context) => {
      const { cluster, usersOf } = await withDomain(context)
      const names = ['*', 'd*', 'dora)(objectClass=*', 'dora\\2a', 'DC1$', `CN=${DORA},${STAFF}`, `EXAMPLE\\dora`]
      for (const name of [...names, `dora@${DOMAIN}`, 'dora\u0000']) {
        cluster.pass(3_600_000)
        assert.equal((await cluster.signIn(`${name}@corp`, DORAS)).status, 401, name)
      }
      assert.deepEqual(await usersOf(), [])
    })

    it('needs an account by which it is asked, whose password is right', async (context) => {
      const { cluster, backend } = await withDomain(context)
      const params = { realm: 'corp' }
      const nobody = await backend.refused('realm.set', { params, body: { service: { kind: 'ldap', bindDn: null } } })
      assert.equal(nobody.code, 'bad_request')
      await backend.must('realm.set', { params, body: { service: { kind: 'ldap', bindPassword: 'wrong' } } })
      assert.match((await backend.refused('realm.test', { params, body: {} })).message, /refuses/)
      assert.equal(codeOf(await cluster.signIn('dora@corp', DORAS)), 'realm_unreachable')
    })
  })
}

function changed(commonName: string, attribute: string, value: string): string {
  return `dn: CN=${commonName},${STAFF}\nchangetype: modify\nreplace: ${attribute}\n${attribute}: ${value}`
}
