import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LETS_ENCRYPT } from '@stead/api/endpoints/certificate.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { complaintAboutCertificate, formOfCertificate, orderOf, type CertificateForm } from './certificate-form.ts'

const EMPTY = formOfCertificate({ wanted: null })
const PLAIN: CertificateForm = { ...EMPTY, names: ' web.example.org\nwww.example.org ', agreesToTerms: true }
const KEY = 'c3RlYWQtdGVzdC1zZWNyZXQ='

test('names alone are enough, once the terms are agreed to', () => {
  assert.equal(complaintAboutCertificate(PLAIN), undefined)
  assert.deepEqual(orderOf(PLAIN), {
    ...{ names: ['web.example.org', 'www.example.org'], directoryUrl: LETS_ENCRYPT, agreesToTerms: true },
    proof: { kind: 'http', port: 80 },
  })
  assert.equal(complaintAboutCertificate({ ...PLAIN, agreesToTerms: false }), '')
  assert.equal(complaintAboutCertificate(EMPTY), '')
})

test('a proof by DNS needs who takes updates, and the key', () => {
  const dns: CertificateForm = { ...PLAIN, kind: 'dns', server: 'ns1.example.org', keyName: 'stead' }
  assert.match(complaintAboutCertificate(dns) ?? '', /key/)
  const whole = { ...dns, keySecret: KEY, zone: 'example.org', settleSeconds: 30 }
  assert.equal(complaintAboutCertificate(whole), undefined)
  assert.deepEqual(orderOf(whole).proof, {
    ...{ kind: 'dns', server: 'ns1.example.org', port: 53, keyName: 'stead', algorithm: 'hmac-sha256' },
    ...{ keySecret: KEY, settleMs: 30_000, zone: 'example.org' },
  })
})

test('what cannot be is said by the schema of the API', () => {
  assert.match(complaintAboutCertificate({ ...PLAIN, names: '10.0.0.1' }) ?? '', /names/)
  assert.match(complaintAboutCertificate({ ...PLAIN, directoryUrl: 'http://ca.example' }) ?? '', /https/)
  assert.match(complaintAboutCertificate({ ...PLAIN, keyId: 'kid' }) ?? '', /hmacKey/)
})

test('what is shown of an order fills the form again, but for its keys', () => {
  const order = orderOf({
    ...PLAIN,
    kind: 'dns',
    server: 'ns1',
    keyName: 'k',
    keySecret: KEY,
    keyId: 'kid',
    hmacKey: KEY,
  })
  const body = ENDPOINTS['certificate.order'].body.parse(order)
  assert.equal(body.proof.kind, 'dns')
  const { keySecret: _, zone = null, ...proof } = body.proof as Extract<typeof body.proof, { kind: 'dns' }>
  const form = formOfCertificate({
    wanted: {
      ...{
        names: body.names,
        directoryUrl: body.directoryUrl,
        authorityPem: null,
        email: null,
        externalAccount: 'kid',
      },
      ...{ proof: { ...proof, zone }, agreedAt: '2026-11-23T00:00:00Z' },
    },
  })
  assert.deepEqual(orderOf({ ...form, keySecret: KEY, hmacKey: KEY }), order)
  assert.deepEqual([form.keySecret, form.hmacKey, form.agreesToTerms], ['', '', false])
  const kept = orderOf(form)
  assert.deepEqual(kept.externalAccount, { keyId: 'kid' })
  assert.ok(!('keySecret' in (kept.proof ?? {})))
  assert.equal(complaintAboutCertificate({ ...form, agreesToTerms: true }), undefined, 'keys that are kept stay')
})
