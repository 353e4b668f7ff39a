import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentConfig } from '../config.ts'
import { invitationKey, readToken, writeToken } from './join-token.ts'
import { membershipOf, readMembership, reconfigured, withMember, withoutMember, type Member } from './membership.ts'

const member = (hostId: string, order: number, role: Member['role'] = 'compute'): Member => ({
  ...{ hostId, role, order },
  addresses: { lan: `192.0.2.${order}` },
})
const config = { members: [member('h1', 1)], etcdMembers: ['h1'], hostId: 'h1' } as unknown as AgentConfig
const alone = membershipOf(config)

test('voters are added as hosts come, and none loses its vote by that', () => {
  const two = withMember(alone, member('h2', 2))
  assert.deepEqual(two.etcdMembers, ['h1', 'h2'])
  const three = withMember(two, member('witness', 3, 'witness'))
  assert.deepEqual(three.etcdMembers, ['h1', 'h2', 'witness'])
  const four = withMember(three, member('h4', 4))
  assert.deepEqual(four.etcdMembers, three.etcdMembers)
  // Five of five vote; the fourth catches up on that.
  assert.deepEqual(withMember(four, member('h5', 5)).etcdMembers, [...three.etcdMembers, 'h4', 'h5'])
})

test('who is removed is neither host nor voter', () => {
  const two = withMember(alone, member('h2', 2))
  const left = withoutMember(two, 'h1')
  assert.deepEqual([left.members.map(({ hostId }) => hostId), left.etcdMembers], [['h2'], ['h2']])
  assert.deepEqual(left.removed, ['h1'])
  assert.deepEqual(withoutMember(left, 'h1').removed, ['h1'])
  const [back] = two.members
  assert.deepEqual(withMember(left, back as Member).removed, [])
  const { removed: _, ...older } = left
  assert.deepEqual(readMembership(JSON.stringify(older)).removed, [])
})

test('an agent starts anew only for a change of the members', () => {
  assert.equal(reconfigured(config, { ...alone, revoked: ['ab'], revokedPem: 'x' }), undefined)
  const two = withMember(alone, member('h2', 2))
  const next = reconfigured(config, readMembership(JSON.stringify(two)))
  assert.ok(next)
  assert.equal(next.hostId, 'h1')
  assert.deepEqual(next.members, two.members)
  assert.equal(reconfigured(next, two), undefined)
})

test('a token is one word, read back as it was, and nothing else is read as one', () => {
  const token = {
    ...{
      cluster: 'demo',
      role: 'witness' as const,
      fingerprint: 'ab'.repeat(32),
      addresses: ['192.0.2.1', 'fd00::1'],
      port: 8446,
    },
    secret: 's'.repeat(43),
  }
  const text = writeToken(token)
  assert.match(text, /^stead-join-[\w-]+$/)
  const read = readToken(text)
  assert.ok(read.ok)
  assert.deepEqual(read.value, token)
  const { role: _, ...older } = token
  const readOlder = readToken(writeToken(older))
  assert.ok(readOlder.ok)
  assert.deepEqual(readOlder.value, older)
  for (const wrong of ['', 'stead-join-', text.slice(0, -8), `stead-${'a'.repeat(40)}`, 'stead-join-e30'])
    assert.equal(readToken(wrong).ok, false, wrong)
  assert.ok(!invitationKey(token.secret).includes(token.secret))
})
