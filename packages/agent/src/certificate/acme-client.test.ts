/** What Let's Encrypt's test authority does not do: renewal information, and answers that are not what they should be. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { certificateStep, renewalTime } from '@stead/core/model/web-certificate.ts'
import { AuthorityKeyIdentifierExtension, X509CertificateGenerator } from '@peculiar/x509'
import { createAuthority, issueCertificate, renewalIdOf } from '../trust/certificates.ts'
import { AcmeClient } from './acme-client.ts'
import { askForHint } from './certificate-steps.ts'
import { externalBinding, keyAuthorization, newKey, recordText, signedBody } from './acme-signature.ts'

const DAY_MS = 86_400_000
const AUTHORITY = createAuthority('authority', Date.now())

const EXAMPLE_ID = 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE'

async function exampleOfRfc9773(): Promise<string> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: '0087654321', name: 'CN=example', keys, notAfter: new Date(Date.now() + DAY_MS) },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new AuthorityKeyIdentifierExtension('69885b6b87464041e1b37b847ba0ae2cde01c8d4')],
  })
  return certificate.toString('pem')
}

interface Answer {
  readonly body: unknown
  readonly status?: number
  readonly headers?: Record<string, string>
}

/** By the path; some look at what is asked. */
type Answers = Readonly<Record<string, Answer | ((payload: Record<string, unknown>) => Answer)>>

/** An https server that says so. */
async function authority(context: TestContext, answers: (base: string) => Answers) {
  const { certificatePem: ca } = await AUTHORITY
  const content = { purpose: 'web', name: 'authority', names: ['127.0.0.1'] } as const
  const { certificatePem: cert, keyPem: key } = await issueCertificate(await AUTHORITY, content, Date.now())
  const seen: string[] = []
  let told: Answers = {}
  const server = createServer({ cert, key }, async (request, response) => {
    const { url = '' } = request
    seen.push(url)
    const found = told[url]
    const answer = typeof found === 'function' ? found(payloadOf(await text(request))) : found
    response.writeHead(answer ? (answer.status ?? 200) : 404, { 'replay-nonce': 'n', ...answer?.headers })
    response.end(typeof answer?.body === 'string' ? answer.body : JSON.stringify(answer?.body ?? {}))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => new Promise((resolve) => server.close(resolve)))
  const base = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  told = answers(base)
  const guard = { isPermitted: () => true, isListed: () => false }
  return { seen, client: new AcmeClient({ directoryUrl: `${base}/dir`, ca, accountKeyPem: newKey(), guard }) }
}

const payloadOf = (signed: string) => JSON.parse(Buffer.from(JSON.parse(signed).payload, 'base64url').toString())

const directory = (base: string, more: object = {}) => ({
  ...{ newNonce: `${base}/nonce`, newAccount: `${base}/account`, newOrder: `${base}/order` },
  ...{ revokeCert: `${base}/revoke`, ...more },
})

test('an authority says when it would have a certificate renewed, and when it wants to be asked again', async (context) => {
  const { client, seen } = await authority(context, (base) => ({
    '/dir': { body: directory(base, { renewalInfo: `${base}/info` }) },
    '/info/a.b': {
      body: { suggestedWindow: { start: '2026-12-01T00:00:00Z', end: '2026-12-03T00:00:00Z' } },
      headers: { 'retry-after': '21600' },
    },
    '/info/c.d': { body: { suggestedWindow: { start: 'never', end: '2026-12-03T00:00:00Z' } } },
  }))
  const hint = await client.renewalWindow('a.b')
  const window = { startMs: Date.parse('2026-12-01'), endMs: Date.parse('2026-12-03') }
  assert.deepEqual(hint, { ok: true, value: { window, retryAfterMs: 21_600_000 } })
  assert.ok(!(await client.renewalWindow('c.d')).ok)
  assert.ok(!(await client.renewalWindow('e.f')).ok)
  assert.deepEqual(seen, ['/dir', '/info/a.b', '/info/c.d', '/info/e.f'])
})

test('one that wants a certificate back has it renewed now, and one that does not answer changes nothing', async (context) => {
  const { client } = await authority(context, (base) => ({
    '/dir': { body: directory(base, { renewalInfo: `${base}/info` }) },
    [`/info/${EXAMPLE_ID}`]: {
      body: { suggestedWindow: { start: '2026-11-01T00:00:00Z', end: '2026-11-02T00:00:00Z' } },
    },
  }))
  const nowMs = Date.parse('2026-11-23T00:00:00Z')
  const life = { notBefore: nowMs - DAY_MS, notAfter: nowMs + 89 * DAY_MS }
  const given = { fingerprint: 'ffffffff', names: ['a.example'], issuer: 'CA', ...life }
  const progress = { given, renewAt: renewalTime(given), hintAt: nowMs }
  assert.equal(certificateStep(progress, nowMs), 'ask-for-hint')
  const hinted = await askForHint({ client, nowMs }, progress, await exampleOfRfc9773())
  assert.equal(certificateStep(hinted.progress, nowMs), 'order')
  const other = await issueCertificate(await AUTHORITY, { purpose: 'web', name: 'a.example', names: [] }, nowMs)
  const silent = await askForHint({ client, nowMs }, progress, other.certificatePem)
  assert.deepEqual(silent.progress, { ...progress, hintAt: nowMs + 6 * 3_600_000 })
})

test('one that has no opinion is not asked', async (context) => {
  const { client, seen } = await authority(context, (base) => ({ '/dir': { body: directory(base) } }))
  assert.deepEqual(await client.renewalWindow('a.b'), { ok: true, value: undefined })
  assert.deepEqual(seen, ['/dir'])
})

test('a renewal names the certificate that it replaces, where the authority cares and has not replaced it already', async (context) => {
  const ordered = async (more: object, isReplaced = false) => {
    const asked: unknown[] = []
    const { client } = await authority(context, (base) => ({
      '/dir': { body: directory(base, more) },
      '/nonce': { body: '' },
      '/order': ({ replaces }) => {
        asked.push(replaces)
        if (isReplaced && replaces !== undefined)
          return { status: 409, body: { type: 'urn:ietf:params:acme:error:alreadyReplaced' } }
        const order = { status: 'pending', authorizations: [], finalize: `${base}/f` }
        return { status: 201, body: order, headers: { location: `${base}/order/1` } }
      },
    }))
    const made = await client.newOrder(['a.example'], EXAMPLE_ID)
    assert.ok(made.ok)
    return asked
  }
  assert.deepEqual(await ordered({ renewalInfo: 'https://ca.example/info' }), [EXAMPLE_ID])
  assert.deepEqual(await ordered({ renewalInfo: 'https://ca.example/info' }, true), [EXAMPLE_ID, undefined])
  assert.deepEqual(await ordered({}), [undefined])
})

for (const [what, body] of [
  ['no JSON', '<html>'],
  ['an address without TLS', { newNonce: 'http://127.0.0.1/', newAccount: 'x', newOrder: 'x', revokeCert: 'x' }],
  ['nothing', null],
  ['more than anybody would read', 'x'.repeat(300_000)],
] as const) {
  test(`a directory that is ${what} is refused`, async (context) => {
    const { client } = await authority(context, () => ({ '/dir': { body } }))
    const answer = await client.directory()
    assert.match(answer.ok ? '' : answer.error.message, /no directory of an ACME authority|more than 262144 bytes/)
  })
}

test('an order that leads out of TLS is not followed', async (context) => {
  const { client, seen } = await authority(context, (base) => ({
    '/dir': { body: directory(base) },
    '/nonce': { body: '' },
    '/order': { body: { status: 'pending', authorizations: ['http://127.0.0.1/x'], finalize: `${base}/f` } },
  }))
  const answer = await client.newOrder(['a.example'])
  assert.match(answer.ok ? '' : answer.error.message, /of the order is not what RFC 8555/)
  assert.equal((await client.order('http://127.0.0.1/x')).ok, false)
  assert.ok(!seen.includes('/x'))
})

test('a certificate is known to its authority by a name that RFC 9773 gives as an example', async () => {
  assert.equal(renewalIdOf(await exampleOfRfc9773()), EXAMPLE_ID)
})

test('what is signed names its place and its nonce, and nothing that is said is outside of the signature', async () => {
  const key = newKey()
  const { createLocalJWKSet, flattenedVerify } = await import('jose')
  const body = JSON.parse(signedBody(key, { nonce: 'n1', url: 'https://ca/x', payload: { a: 1 } }))
  const { jwk } = JSON.parse(Buffer.from(body.protected, 'base64url').toString())
  const verified = await flattenedVerify(body, createLocalJWKSet({ keys: [jwk] }))
  assert.deepEqual(verified.protectedHeader, { alg: 'ES256', nonce: 'n1', url: 'https://ca/x', jwk })
  assert.deepEqual(JSON.parse(Buffer.from(verified.payload).toString()), { a: 1 })
  assert.equal(jwk.d, undefined)
  const known = JSON.parse(signedBody(key, { nonce: 'n', url: 'u', account: 'https://ca/1', payload: undefined }))
  assert.equal(known.payload, '')
  assert.equal(JSON.parse(Buffer.from(known.protected, 'base64url').toString()).kid, 'https://ca/1')
  await assert.rejects(flattenedVerify({ ...body, payload: known.protected }, createLocalJWKSet({ keys: [jwk] })))
})

test('an external account vouches for the key, and a proof is of the token and of the key', async () => {
  const [key, other] = [newKey(), newKey()]
  const { flattenedVerify } = await import('jose')
  const secret = Buffer.alloc(32, 7)
  const bound = externalBinding(key, { keyId: 'kid', hmacKey: secret.toString('base64url'), url: 'https://ca/account' })
  const verified = await flattenedVerify(bound as never, secret)
  assert.deepEqual(verified.protectedHeader, { alg: 'HS256', kid: 'kid', url: 'https://ca/account' })
  assert.equal(JSON.parse(Buffer.from(verified.payload).toString()).kty, 'EC')
  const authorization = keyAuthorization(key, 'token')
  assert.match(authorization, /^token\.[A-Za-z0-9_-]{43}$/)
  assert.notEqual(keyAuthorization(other, 'token'), authorization)
  assert.match(recordText(authorization), /^[A-Za-z0-9_-]{43}$/)
})
