import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountOfDomain, barrierOfRefusal, barriersOf, baseDnOfDomain, securityId } from './active-directory.ts'
import { completeDirectory } from './directory-settings.ts'

const refusal = (code: string) =>
  `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${code}, v1db1`

test('of a domain everything follows but the account that reads it', () => {
  assert.equal(baseDnOfDomain('ad.example.org'), 'DC=ad,DC=example,DC=org')
  assert.deepEqual(completeDirectory({ kind: 'ldap', activeDirectory: 'ad.example.org', bindDn: 'reader' }), {
    ok: true,
    value: {
      ...{ kind: 'ldap', activeDirectory: 'ad.example.org', urls: ['ldaps://ad.example.org'] },
      ...{ baseDn: 'DC=ad,DC=example,DC=org', bindDn: 'reader@ad.example.org', userAttribute: 'sAMAccountName' },
    },
  })
  for (const account of ['EXAMPLE\\reader', 'reader@example.org', 'CN=reader,DC=ad'])
    assert.equal(accountOfDomain(account, 'ad.example.org'), account)
  assert.ok(!completeDirectory({ kind: 'ldap', activeDirectory: 'ad.example.org' }).ok)
})

test('what was said counts; of another directory nothing follows', () => {
  const own = { urls: ['ldaps://dc1'], baseDn: 'OU=Staff,DC=ad', bindDn: 'CN=r,DC=ad', userAttribute: 'mail' }
  const said = completeDirectory({ kind: 'ldap', activeDirectory: 'ad.example.org', ...own })
  assert.deepEqual(said.ok && said.value, { kind: 'ldap', activeDirectory: 'ad.example.org', ...own })
  const plain = { kind: 'ldap', urls: ['ldaps://d'], baseDn: 'dc=d' } as const
  const made = completeDirectory(plain)
  assert.deepEqual(made.ok && made.value, { ...plain, userAttribute: 'uid' })
  for (const wrong of [{ baseDn: 'dc=d' }, { urls: ['ldaps://d'] }, { ...plain, bindDn: 'reader' }])
    assert.ok(!completeDirectory({ kind: 'ldap', ...wrong }).ok)
})

test('a security identifier is written as people know it, and anything else is none', () => {
  const users = Buffer.from('AQIAAAAAAAUgAAAAIQIAAA==', 'base64')
  assert.equal(securityId(users), 'S-1-5-32-545')
  const domainUsers = Buffer.from('AQUAAAAAAAUVAAAAD6sYr/0/yehhhvP8AQIAAA==', 'base64')
  assert.equal(securityId(domainUsers), 'S-1-5-21-2937629455-3905503229-4243818081-513')
  for (const wrong of [Buffer.alloc(0), users.subarray(0, 15), Buffer.concat([users, users]), Buffer.alloc(8)])
    assert.equal(securityId(wrong), undefined)
})

test('the code of a refusal says what is in the way; a wrong password has none', () => {
  assert.deepEqual(
    ['530', '532', '533', '701', '773', '775'].map((code) => barrierOfRefusal(refusal(code))),
    ['not-now', 'password-expired', 'disabled', 'expired', 'must-change-password', 'locked'],
  )
  for (const text of [refusal('52e'), refusal('525'), '', 'Invalid Credentials', refusal('5330')])
    assert.equal(barrierOfRefusal(text), undefined)
})

test('an entry says what is in the way, where it can be read', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  const ticks = (ms: number) => String(BigInt(ms) * 10_000n + 116_444_736_000_000_000n)
  assert.deepEqual(barriersOf({}, now), [])
  const sound = { userAccountControl: '512', computed: '0', accountExpires: '0', pwdLastSet: ticks(now) }
  assert.deepEqual(barriersOf(sound, now), [])
  assert.deepEqual(barriersOf({ ...sound, accountExpires: '9223372036854775807' }, now), [])
  assert.deepEqual(barriersOf({ ...sound, accountExpires: ticks(now + 1) }, now), [])
  assert.deepEqual(barriersOf({ ...sound, accountExpires: ticks(now) }, now), ['expired'])
  assert.deepEqual(barriersOf({ ...sound, userAccountControl: '514', computed: '16' }, now), ['disabled', 'locked'])
  assert.deepEqual(barriersOf({ ...sound, computed: '8388608' }, now), ['password-expired'])
  assert.deepEqual(barriersOf({ ...sound, computed: '8388608', pwdLastSet: '0' }, now), ['must-change-password'])
  assert.deepEqual(barriersOf({ ...sound, userAccountControl: '66048', pwdLastSet: '0' }, now), [])
  assert.deepEqual(barriersOf({ ...sound, accountExpires: 'soon' }, now), [])
})
