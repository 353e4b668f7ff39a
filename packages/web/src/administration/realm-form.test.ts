import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { RealmView } from '@stead/api/endpoints/realms.ts'
import {
  complaintAboutRealm,
  EMPTY_REALM,
  formOfRealm,
  hasSecret,
  realmAddOf,
  realmChangeOf,
  type RealmForm,
} from './realm-form.ts'

const OIDC: RealmForm = { ...EMPTY_REALM, name: 'sso', issuer: 'https://sso.example', clientId: 'stead' }
const LDAP: RealmForm = {
  ...{ ...EMPTY_REALM, kind: 'ldap', name: 'campus', title: 'Campus', baseDn: 'dc=example,dc=org' },
  urls: 'ldaps://a.example\n ldaps://b.example\n',
}

test('what was filled in becomes a request that the API takes; what was left out is not sent', () => {
  assert.deepEqual(realmAddOf(OIDC), {
    ...{ name: 'sso', makesUsers: false, groups: [] },
    service: {
      ...{ kind: 'oidc', issuer: 'https://sso.example', clientId: 'stead', scope: 'openid profile email' },
      ...{ userClaim: 'preferred_username', groupsClaim: 'groups', checksSecondFactor: false },
    },
  })
  const groups = [
    { theirs: 'ops', ours: 'staff' },
    { theirs: '', ours: '' },
  ]
  const added = realmAddOf({ ...LDAP, secret: 'pass word ', bindDn: 'cn=reader', groups })
  assert.deepEqual(added.groups, [{ theirs: 'ops', ours: 'staff' }])
  assert.deepEqual(added.service, {
    ...{ kind: 'ldap', urls: ['ldaps://a.example', 'ldaps://b.example'], baseDn: 'dc=example,dc=org' },
    ...{ bindDn: 'cn=reader', bindPassword: 'pass word ', userAttribute: 'uid' },
  })
  assert.equal(ENDPOINTS['realm.add'].body.safeParse(added).success, true)
})

test('of an Active Directory only what was said is sent, and names of controllers are addresses with TLS', () => {
  const form: RealmForm = { ...EMPTY_REALM, kind: 'active-directory', name: 'corp', activeDirectory: 'ad.example.org' }
  const added = realmAddOf({ ...form, bindDn: 'reader', urls: 'dc1.ad.example.org\nldap://dc2.ad.example.org\n' })
  assert.deepEqual(added.service, {
    ...{ kind: 'ldap', activeDirectory: 'ad.example.org', bindDn: 'reader' },
    urls: ['ldaps://dc1.ad.example.org', 'ldap://dc2.ad.example.org'],
  })
  assert.equal(complaintAboutRealm({ ...form, bindDn: 'reader' }, false), undefined)
  assert.match(complaintAboutRealm(form, false) ?? '', /bindDn/)
  const view: RealmView = {
    ...VIEW,
    service: { ...VIEW.service, activeDirectory: 'ad.example.org' } as RealmView['service'],
  }
  assert.equal(formOfRealm(view).kind, 'active-directory')
  assert.deepEqual(realmChangeOf(formOfRealm(view)).service, {
    ...{ kind: 'ldap', activeDirectory: 'ad.example.org', urls: ['ldaps://a.example'], baseDn: 'dc=d', bindDn: 'cn=r' },
    ...{ userFilter: null, authority: null },
  })
})

test('what the API would refuse is said before it is asked', () => {
  assert.match(complaintAboutRealm({ ...OIDC, issuer: 'http://sso.example' }, false) ?? '', /https/)
  assert.match(complaintAboutRealm({ ...LDAP, baseDn: 'example.org' }, false) ?? '', /distinguished name/)
  assert.match(complaintAboutRealm({ ...LDAP, groups: [{ theirs: 'ops', ours: '' }] }, false) ?? '', /ours/)
  assert.equal(complaintAboutRealm(LDAP, false), undefined)
})

const VIEW: RealmView = {
  ...{ name: 'campus', title: 'Campus', makesUsers: true, disabled: false, users: 3, createdAt: '', revision: '4' },
  groups: [{ theirs: 'ops', ours: 'staff' }],
  service: {
    ...{ kind: 'ldap', urls: ['ldaps://a.example'], baseDn: 'dc=d', bindDn: 'cn=r', bindPassword: '(secret)' },
    userAttribute: 'uid',
  },
}

test('a secret that nobody sees is neither sent back nor lost, unless it is to be forgotten', () => {
  const form = formOfRealm(VIEW)
  assert.equal(form.secret, '')
  assert.equal(hasSecret(VIEW), true)
  const kept = realmChangeOf(form)
  assert.equal('bindPassword' in kept.service!, false)
  assert.deepEqual(kept.service, {
    ...{ kind: 'ldap', urls: ['ldaps://a.example'], baseDn: 'dc=d', bindDn: 'cn=r', userAttribute: 'uid' },
    ...{ userFilter: null, groupBaseDn: null, authority: null },
  })
  const secretOf = (change: Partial<RealmForm>) =>
    (realmChangeOf({ ...form, ...change }).service as { bindPassword?: string | null }).bindPassword
  assert.equal(secretOf({ secret: 'new' }), 'new')
  assert.equal(secretOf({ forgetsSecret: true }), null)
  assert.equal(complaintAboutRealm(form, true), undefined)
})
