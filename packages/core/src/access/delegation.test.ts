import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { AccessPermission, AccessRecords, Principal } from '../model/access.ts'
import { decide } from './decide.ts'
import { nameableBy, rolesToGive, spokenOfAmong, whyNotGiven, type Giver } from './delegation.ts'
import { projectInPath } from './object-path.ts'
import { PRIVILEGES, type Privilege } from './privilege.ts'

const USERS = ['alice', 'bob', 'carol', 'dora'] as const
const SHOP = '/projects/shop'
const OBJECTS = [`${SHOP}/guests/web`, `${SHOP}/guests/db`, `${SHOP}/images/debian`]
/** All that somebody could come to have something on; `new` is a guest that is made later. */
const PLACES = [
  ...['/', '/access', '/hosts/h1', '/images/cd', SHOP, ...OBJECTS, `${SHOP}/guests/new`],
  ...['/projects/other', '/projects/other/guests/mail'],
]
/** As an administrator writes them. */
const OWN = ['/', '/access', SHOP, '/guests/web', '/guests/db', '/images/debian', '/projects/other', '/guests/mail']
const ROLES = [
  ...['Administrator', 'Operator', 'Auditor', 'ProjectAdmin', 'GuestUser', 'NoAccess', 'Starter', 'Giver'],
] as const

let serial = 0
function permission(who: string, role: string, path: string, more: Partial<AccessPermission> = {}): AccessPermission {
  const kind = who.startsWith('@') ? 'group' : 'user'
  return { id: `p${serial++}`, subject: { kind, name: who.replace('@', '') }, role, path, propagate: true, ...more }
}

function records(permissions: readonly AccessPermission[]): AccessRecords {
  return {
    users: new Map(USERS.map((name) => [name, { name, realm: 'local', createdAt: 0 }])),
    groups: new Map([
      ['staff', { name: 'staff', members: ['alice', 'bob'] }],
      ['people', { name: 'people', members: ['bob', 'carol', 'gone'] }],
    ]),
    roles: new Map<string, { name: string; privileges: readonly Privilege[] }>([
      ['Starter', { name: 'Starter', privileges: ['guest.operate'] }],
      ['Giver', { name: 'Giver', privileges: ['project.delegate', 'project.view'] }],
    ]),
    tokens: new Map(),
    permissions,
  }
}

const user = (name: string): Principal => ({ kind: 'user', name })
const giver = (permissions: readonly AccessPermission[], name: string): Giver => ({
  ...{ records: records(permissions), principal: user(name), wallMs: 0, shown: (path: string) => path },
})
const why = (permissions: readonly AccessPermission[], name: string, role: string, path = SHOP) =>
  whyNotGiven(giver(permissions, name), { role, path, spokenOf: spokenOfAmong(permissions, OBJECTS) })
const delegated = (who: string, role: string, path: string) =>
  permission(who, role, path, { delegated: { project: 'shop', by: 'alice' } })

function may(permissions: readonly AccessPermission[], name: string, privilege: Privilege, path: string): boolean {
  return decide(records(permissions), user(name), privilege, path, 0).allowed
}

/** `alice guest.view /guests/web`, of all that each user may. */
function allRights(permissions: readonly AccessPermission[]): Set<string> {
  const all = records(permissions)
  const rights = USERS.flatMap((name) =>
    PLACES.flatMap((path) =>
      PRIVILEGES.filter((privilege) => decide(all, user(name), privilege, path, 0).allowed).map(
        (privilege) => `${name} ${privilege} ${path}`,
      ),
    ),
  )
  return new Set(rights)
}

suite('what may be given within a project', () => {
  const admin = permission('alice', 'ProjectAdmin', SHOP)

  test('who administers a project gives what he has, and nothing else', () => {
    assert.equal(why([admin], 'alice', 'GuestUser'), undefined)
    assert.equal(why([admin], 'alice', 'ProjectAdmin'), undefined)
    assert.equal(why([admin], 'alice', 'GuestUser', OBJECTS[0]), undefined)
    assert.match(why([admin], 'alice', 'Operator')?.message ?? '', /includes cluster\.view, which alice lacks on/)
    assert.match(why([admin], 'bob', 'GuestUser')?.message ?? '', /bob may give nothing in shop/)
    assert.deepEqual(
      rolesToGive(giver([admin], 'alice'), { path: SHOP, spokenOf: [] }).map(({ name }) => name),
      ['ProjectAdmin', 'GuestUser', 'Starter', 'Giver'],
    )
  })

  test('nothing outside of the project, and no refusal', () => {
    for (const path of ['/', '/access', '/hosts/h1', '/projects/other', '/projects/other/guests/mail'])
      assert.notEqual(why([admin], 'alice', 'GuestUser', path), undefined, path)
    assert.match(why([admin], 'alice', 'NoAccess')?.message ?? '', /cannot be given/)
    assert.match(why([admin], 'alice', 'Unknown')?.message ?? '', /cannot be given/)
  })

  test('who has less on one guest gives nothing on the whole project that would include it', () => {
    const narrowed = [admin, permission('alice', 'NoAccess', '/guests/db')]
    assert.match(why(narrowed, 'alice', 'GuestUser')?.message ?? '', /lacks on .*guests\/db/)
    assert.equal(why(narrowed, 'alice', 'GuestUser', OBJECTS[0]), undefined)
    assert.notEqual(why(narrowed, 'alice', 'GuestUser', OBJECTS[1]), undefined)
  })

  test('who has his role on the project alone, and not below, gives nothing that goes below', () => {
    const flat = [permission('alice', 'ProjectAdmin', SHOP, { propagate: false })]
    assert.match(why(flat, 'alice', 'GuestUser')?.message ?? '', /lacks on what lies in \/projects\/shop/)
  })

  test('what was given counts in its project only, also when the guest comes to another one', () => {
    const given = [delegated('bob', 'GuestUser', '/guests/web')]
    assert.equal(may(given, 'bob', 'guest.operate', `${SHOP}/guests/web`), true)
    assert.equal(may(given, 'bob', 'guest.operate', '/projects/other/guests/web'), false)
    assert.equal(may(given, 'bob', 'guest.operate', `${SHOP}/guests/db`), false)
  })

  test('it takes nothing from anybody, and does not go around NoAccess', () => {
    const operator = permission('bob', 'Operator', '/')
    const given = delegated('bob', 'Starter', SHOP)
    assert.equal(may([operator, given], 'bob', 'guest.delete', OBJECTS[0]!), true)
    for (const ban of [permission('bob', 'NoAccess', SHOP), permission('bob', 'NoAccess', '/')])
      assert.equal(may([ban, given], 'bob', 'guest.operate', OBJECTS[0]!), false)
  })

  test('of two that were given the wider one counts, whichever came first', () => {
    const two = [delegated('bob', 'Starter', SHOP), delegated('bob', 'GuestUser', SHOP)]
    for (const given of [two, two.toReversed()]) assert.equal(may(given, 'bob', 'guest.view', OBJECTS[0]!), true)
    const nearer = [delegated('bob', 'GuestUser', SHOP), delegated('bob', 'Starter', '/guests/web')]
    assert.equal(may(nearer, 'bob', 'guest.view', OBJECTS[0]!), true)
  })

  test('the reason names who has given it', () => {
    const given = records([delegated('@staff', 'GuestUser', SHOP)])
    const { because } = decide(given, user('bob'), 'guest.view', OBJECTS[0]!, 0)
    assert.equal(because, 'the group staff has the role GuestUser on /projects/shop (given by alice)')
    const lacking = decide(given, user('bob'), 'guest.delete', OBJECTS[0]!, 0)
    assert.match(lacking.because, /given by alice\), which does not include guest\.delete/)
  })

  test('whom he may name: the members of the groups of the project, or everybody whom he may see', () => {
    const tenant = nameableBy(giver([admin], 'alice'), ['people', 'gone'])
    assert.deepEqual([[...tenant.user], [...tenant.group]], [['bob', 'carol'], ['people']])
    const auditor = nameableBy(giver([admin, permission('alice', 'Auditor', '/access')], 'alice'), [])
    assert.deepEqual([[...auditor.user], [...auditor.group]], [[...USERS], ['staff', 'people']])
  })
})

type Step =
  | { readonly do: 'give'; readonly by: string; readonly to: string; readonly role: string; readonly path: string }
  | { readonly do: 'take'; readonly by: string; readonly which: number }

const who = fc.constantFrom(...USERS, '@staff', '@people')
const said = fc.tuple(who, fc.constantFrom(...ROLES), fc.constantFrom(...OWN), fc.boolean())
/** Often enough somebody who may, of something that he has. */
const by = fc.constantFrom('alice', 'alice', 'alice', ...USERS)
const gift = fc.record({
  ...{ do: fc.constant('give' as const), by, to: who },
  role: fc.constantFrom('GuestUser', 'Starter', 'Giver', ...ROLES),
  path: fc.constantFrom(SHOP, SHOP, ...OBJECTS, ...PLACES),
})
const taking = fc.record({ do: fc.constant('take' as const), by, which: fc.nat(9) })
const step: fc.Arbitrary<Step> = fc.oneof({ weight: 4, arbitrary: gift }, { weight: 1, arbitrary: taking })

test('no sequence of giving and taking gives anybody more than its giver had there, or takes what another has said', () => {
  let given = 0
  let taken = 0
  fc.assert(
    fc.property(fc.array(said, { maxLength: 6 }), fc.array(step, { maxLength: 12 }), (first, steps) => {
      // So that most runs have somebody who may give.
      const fixed = [permission('alice', 'ProjectAdmin', SHOP)]
      let now = [...fixed, ...first.map(([to, role, path, propagate]) => permission(to, role, path, { propagate }))]
      const administrators = allRights(now)
      for (const each of steps) {
        const before = allRights(now)
        if (each.do === 'give') {
          if (why(now, each.by, each.role, each.path)) continue
          given++
          now = [
            ...now,
            { ...delegated(each.to, each.role, ownOf(each.path)), delegated: { project: 'shop', by: each.by } },
          ]
        } else {
          const theirs = now.filter((one) => one.delegated)
          const one = theirs[each.which % Math.max(1, theirs.length)]
          if (!one || why(now, each.by, one.role, placeOf(one.path))) continue
          taken++
          now = now.filter((other) => other !== one)
        }
        const after = allRights(now)
        for (const right of after) {
          if (before.has(right)) continue
          assert.equal(each.do, 'give', `${right} came by taking back`)
          const [, privilege = '', path = ''] = right.split(' ')
          assert.ok(before.has(`${each.by} ${privilege} ${path}`), `${each.by} gave ${right}`)
          assert.equal(projectInPath(path), 'shop', right)
        }
        if (each.do === 'give') for (const right of before) assert.ok(after.has(right), `${right} was taken by giving`)
        for (const right of administrators) assert.ok(after.has(right), `${right} was taken`)
      }
    }),
    { numRuns: 300 },
  )
  assert.ok(given > 100 && taken > 5, `${given} given, ${taken} taken: nothing was tested`)
})

function ownOf(path: string): string {
  return path.startsWith(`${SHOP}/`) ? path.slice(SHOP.length) : path
}

function placeOf(own: string): string {
  return own === SHOP ? own : `${SHOP}${own}`
}
