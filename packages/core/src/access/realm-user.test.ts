import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Group, User } from '../model/access.ts'
import type { Realm } from '../model/realm.ts'
import { admittedUser, changedGroups, localPart, userHere } from './realm-user.ts'

const ldap: Realm['service'] = { kind: 'ldap', urls: ['ldaps://d'], baseDn: 'dc=d', userAttribute: 'uid' }
const realm: Realm = { name: 'campus', makesUsers: true, groups: [], service: ldap, createdAt: 0 }
const dora: User = { name: 'dora@campus', realm: 'campus', createdAt: 5 }
const identity = { name: 'dora', groups: [] }

test('a name is taken in lower case, and only where it can be no other', () => {
  assert.deepEqual(localPart('Dora'), { ok: true, value: 'dora' })
  for (const name of ['', 'two words', 'a@b', 'a!b', '-a', 'a/b', 'é', 'x'.repeat(64)])
    assert.ok(!localPart(name).ok, name)
})

test('of a domain only names of that very domain are taken, without it', () => {
  assert.deepEqual(localPart('Dora@Example.org', 'example.org'), { ok: true, value: 'dora' })
  for (const name of ['dora', 'dora@example.com', 'dora@sub.example.org', 'a@b@example.org', '@example.org'])
    assert.ok(!localPart(name, 'example.org').ok, name)
})

test('a user is made, or not, as the realm is set; a known one is changed only where something is new', () => {
  const made = admittedUser(realm, undefined, { ...identity, subject: 's', email: 'd@d' }, 7)
  assert.deepEqual(made, { ok: true, value: { ...dora, subject: 's', email: 'd@d', createdAt: 7 } })
  const { makesUsers: _none, ...strict } = realm
  assert.ok(!admittedUser(strict, undefined, identity, 7).ok)
  const same = admittedUser(strict, dora, identity, 7)
  assert.ok(same.ok && same.value === dora)
  const kept = { ...dora, disabled: true as const, fullName: 'Dora' }
  assert.deepEqual(admittedUser(strict, kept, { ...identity, fullName: 'Dora D' }, 7), {
    ok: true,
    value: { ...kept, fullName: 'Dora D' },
  })
})

test('the first subject is kept, and another one refused; a realm that gives none is believed by the name', () => {
  const first = admittedUser(realm, dora, { ...identity, subject: 'a' }, 7)
  assert.ok(first.ok && first.value.subject === 'a')
  assert.ok(!admittedUser(realm, first.value, { ...identity, subject: 'b' }, 7).ok)
  assert.ok(admittedUser(realm, first.value, identity, 7).ok)
})

test('who has been given another name there is the same user here; without a subject the name decides', () => {
  const users = [
    { ...dora, subject: 'a' },
    { ...dora, name: 'dora@labs', realm: 'labs', subject: 'b' },
  ]
  assert.equal(userHere(realm, users, { name: 'dora.smith', subject: 'a' }), 'dora@campus')
  assert.equal(userHere(realm, users, { name: 'dora.smith', subject: 'b' }), 'dora.smith@campus')
  assert.equal(userHere(realm, users, { name: 'dora', subject: 'b' }), 'dora@campus')
  assert.equal(userHere(realm, users, { name: 'dora.smith' }), 'dora.smith@campus')
})

test('groups that are mapped are what the realm says, others are left alone', () => {
  const group = (name: string, ...members: string[]): [string, Group] => [name, { name, members }]
  const groups = new Map([group('in', 'x'), group('out', 'dora@campus', 'x'), group('own', 'dora@campus')])
  const map = [
    { theirs: 'CN=Staff', ours: 'in' },
    { theirs: 'left', ours: 'out' },
    { theirs: 'staff', ours: 'gone' },
    { theirs: 'two', ours: 'in' },
  ]
  const changed = changedGroups({ ...realm, groups: map }, groups, 'dora@campus', ['cn=staff', 'staff'])
  assert.deepEqual(changed, [
    { name: 'in', members: ['x', 'dora@campus'] },
    { name: 'out', members: ['x'] },
  ])
  const oidc = { ...realm, groups: map, service: { kind: 'oidc' } as Realm['service'] }
  assert.deepEqual(
    changedGroups(oidc, groups, 'dora@campus', ['cn=staff', 'two']).map(({ name }) => name),
    ['in', 'out'],
  )
})
