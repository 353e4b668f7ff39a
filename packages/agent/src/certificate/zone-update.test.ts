import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { updateScript, updateZone, type DnsProof } from './zone-update.ts'

const PROOF: DnsProof = {
  ...{
    kind: 'dns',
    server: 'ns1.example.org',
    port: 53,
    keyName: 'stead',
    algorithm: 'hmac-sha256',
    keySecret: 'c2VjcmV0',
  },
  ...{ settleMs: 0, zone: 'example.org' },
}
const challenge = (name: string, answer: string) => ({ name, answer, token: 't', url: 'https://ca/1' })

test('each name has its record, one with a star that of the name without it', () => {
  const challenges = [challenge('web.example.org', 'aa'), challenge('*.web.example.org', 'bb')]
  assert.equal(
    updateScript(PROOF, '192.0.2.1', challenges, 'add'),
    `server 192.0.2.1 53
key hmac-sha256:stead c2VjcmV0
zone example.org
update add _acme-challenge.web.example.org. 60 TXT "aa"
update add _acme-challenge.web.example.org. 60 TXT "bb"
send
`,
  )
})

test('nobody can have a line of his own in it', () => {
  const body = (proof: object, names = ['web.example.org']) =>
    ENDPOINTS['certificate.order'].body.safeParse({
      ...{ names, agreesToTerms: true },
      proof: { kind: 'dns', server: 'ns1', keyName: 'k', keySecret: 'c2VjcmV0LXNlY3JldC0=', ...proof },
    }).success
  assert.ok(body({}))
  for (const bad of ['a\nsend', 'a b', 'a;b', '"a"', 'a\n'])
    for (const field of ['server', 'zone', 'keyName', 'keySecret', 'algorithm'])
      assert.ok(!body({ [field]: bad }), `${field}: ${JSON.stringify(bad)}`)
  for (const name of [
    'a.example\n',
    'a.example send',
    '*.*.example',
    'x*.example',
    '10.0.0.1',
    'localhost',
    '',
    'A.example',
  ])
    assert.ok(!body({}, [name]), JSON.stringify(name))
})

test('a server to which hosts do not connect on a user\u2019s word is not told', async () => {
  const told = await updateZone({ ...PROOF, server: '127.0.0.1' }, [], 'add', () => false)
  assert.equal(told.ok ? 'told' : told.error.code, 'forbidden')
})
