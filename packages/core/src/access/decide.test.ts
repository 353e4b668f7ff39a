import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AccessPermission, AccessRecords, ApiToken, Principal, User } from '../model/access.ts'
import { decide, levelAbove } from './decide.ts'
import { BUILT_IN_ROLES, PRIVILEGES, type Privilege } from './privilege.ts'

const NOW = 1_000
const alice: Principal = { kind: 'user', name: 'alice' }

/** `alice` is in the group `staff`; `bob` is disabled. Each line: who, role, path; a `!` at the end: not below. */
function records(...lines: readonly string[]): AccessRecords {
  const user = (name: string) => ({ name, realm: 'local', createdAt: 0 })
  const permissions = lines.map((line, index): AccessPermission => {
    const [who = '', role = '', path = ''] = line.split(' ')
    const kind = who.includes('!') ? 'token' : who.startsWith('@') ? 'group' : 'user'
    return {
      id: `p${index}`,
      subject: { kind, name: who.replace('@', '') },
      role,
      path: path.replace('!', ''),
      propagate: !path.endsWith('!'),
    }
  })
  return {
    users: new Map<string, User>([
      ['alice', user('alice')],
      ['bob', { ...user('bob'), disabled: true as const }],
      ['carol', { ...user('carol'), expiresAt: NOW }],
    ]),
    groups: new Map([['staff', { name: 'staff', members: ['alice', 'bob', 'carol'] }]]),
    roles: new Map([['Starter', { name: 'Starter', privileges: ['guest.operate'] }]]),
    tokens: new Map<string, ApiToken>([
      ['alice!ci', { user: 'alice', name: 'ci', separated: true as const, createdAt: 0 }],
      ['alice!all', { user: 'alice', name: 'all', createdAt: 0 }],
      ['alice!old', { user: 'alice', name: 'old', expiresAt: NOW, createdAt: 0 }],
    ]),
    permissions,
  }
}

const GUEST = '/projects/shop/guests/web'
const may = (of: AccessRecords, privilege: Privilege, path = GUEST, who: Principal = alice) =>
  decide(of, who, privilege, path, NOW).allowed

test('a path has the levels of its objects', () => {
  assert.equal(levelAbove('/'), undefined)
  for (const path of ['/access', '/hosts/h1', '/projects/shop']) assert.equal(levelAbove(path), '/')
  for (const path of [GUEST, '/projects/shop/images/debian']) assert.equal(levelAbove(path), '/projects/shop')
})

test('what was permitted on a guest stays so when the guest comes to another project; the rest does not', () => {
  const of = records(`alice GuestUser ${GUEST}`)
  assert.equal(may(of, 'guest.operate', '/projects/other/guests/web'), true)
  const admin = records('alice ProjectAdmin /projects/shop')
  assert.equal(may(admin, 'guest.operate', '/projects/other/guests/web'), false)
})

test('nobody may do anything unless it is said', () => {
  for (const privilege of PRIVILEGES) assert.equal(may(records(), privilege), false)
})

test('a role on a project holds for its guests, unless it was given for the project alone', () => {
  assert.equal(may(records('alice ProjectAdmin /projects/shop'), 'guest.delete'), true)
  assert.equal(may(records('alice ProjectAdmin /projects/shop!'), 'guest.delete'), false)
  assert.equal(may(records('alice ProjectAdmin /projects/shop!'), 'project.view', '/projects/shop'), true)
  assert.equal(may(records('alice ProjectAdmin /projects/shop'), 'guest.delete', '/projects/other/guests/web'), false)
})

test('what is said of the object counts before what is said of where it lies', () => {
  const narrowed = records('alice Administrator /', `alice GuestUser ${GUEST}`)
  assert.equal(may(narrowed, 'guest.operate'), true)
  assert.equal(may(narrowed, 'guest.delete'), false)
  assert.equal(may(narrowed, 'guest.delete', '/projects/shop/guests/db'), true)
})

test('what is said of the user counts before what is said of his groups', () => {
  assert.equal(may(records('@staff Operator /'), 'guest.operate'), true)
  assert.equal(may(records('@staff Operator /', 'alice Auditor /'), 'guest.operate'), false)
  assert.equal(may(records('alice Auditor /', `@staff Operator ${GUEST}`), 'guest.operate'), true)
})

test('NoAccess ends it, whatever else is said on that level', () => {
  assert.equal(may(records('alice Administrator /projects/shop', 'alice NoAccess /projects/shop'), 'guest.view'), false)
})

test('own roles count as the built-in ones do', () => {
  assert.equal(may(records('alice Starter /'), 'guest.operate'), true)
  assert.equal(may(records('alice Starter /'), 'guest.view'), false)
  assert.equal(may(records('alice Gone /'), 'guest.view'), false)
})

test('who is disabled or expired may nothing, by no way', () => {
  const all = records('bob Administrator /', 'carol Administrator /', '@staff Administrator /')
  for (const name of ['bob', 'carol', 'nobody'])
    assert.equal(may(all, 'guest.view', '/', { kind: 'user', name }), false)
})

test('a token has what was given to it, and never more than its user', () => {
  const token = (name: string): Principal => ({ kind: 'token', user: 'alice', name })
  const of = records('alice GuestUser /', 'alice!ci Administrator /projects/shop')
  assert.equal(may(of, 'guest.operate', GUEST, token('ci')), true)
  assert.equal(may(of, 'guest.delete', GUEST, token('ci')), false)
  assert.equal(may(of, 'guest.operate', '/projects/other/guests/db', token('ci')), false)
  assert.equal(may(of, 'guest.operate', GUEST, token('all')), true)
  for (const name of ['old', 'unknown']) assert.equal(may(of, 'guest.operate', GUEST, token(name)), false)
})

test('who is root of a host may everything', () => {
  for (const privilege of PRIVILEGES) assert.equal(may(records(), privilege, '/', { kind: 'root', host: 'h1' }), true)
})

test('the reason names what decided', () => {
  const decision = decide(records('alice Auditor /projects/shop'), alice, 'guest.delete', GUEST, NOW)
  assert.equal(
    decision.because,
    'the user alice has the role Auditor on /projects/shop, which does not include guest.delete',
  )
  assert.equal(decision.by?.id, 'p0')
  assert.match(decide(records(), alice, 'guest.view', GUEST, NOW).because, /nothing is said of/)
})

test('no role gives what it does not list, and Administrator lists everything', () => {
  const roles = fc.constantFrom(...BUILT_IN_ROLES)
  fc.assert(
    fc.property(
      roles,
      fc.constantFrom(...PRIVILEGES),
      fc.constantFrom('/', '/projects/shop', GUEST),
      (role, privilege, path) => {
        assert.equal(may(records(`alice ${role.name} ${path}`), privilege), role.privileges.includes(privilege))
      },
    ),
  )
  assert.deepEqual(BUILT_IN_ROLES[0]?.privileges, PRIVILEGES)
})
