/** What is made here is judged by another implementation, OpenSSL's command. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ageOf, authorityEndsSoon, HOST_LIFE_MS } from './certificate-life.ts'
import { readCertificate } from './certificate-reading.ts'
import {
  createAuthority,
  createRevocationList,
  createSigningRequest,
  issueCertificate,
  signCertificate,
  type CertificateContent,
  type KeyAndCertificate,
} from './certificates.ts'

/** openssl, which verifies, goes by the machine's clock. */
const NOW = Date.now()
const DAY_MS = 86_400_000
const H1: CertificateContent = { purpose: 'host', name: 'h1', names: ['10.77.0.1', 'fd00::1', '127.0.0.1'] }

let folder: string
let authority: KeyAndCertificate
let host: KeyAndCertificate

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stead-certificates-'))
  authority = await createAuthority('lab', NOW)
  host = await issueCertificate(authority, H1, NOW)
  writeFileSync(join(folder, 'ca.pem'), authority.certificatePem)
  writeFileSync(join(folder, 'host.pem'), host.certificatePem)
})
after(() => rmSync(folder, { recursive: true }))

const verify = (...args: string[]) => {
  try {
    return execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', 'ca.pem', ...args], {
      cwd: folder,
      encoding: 'utf8',
      stdio: 'pipe',
    })
  } catch (error) {
    return String((error as { stderr: unknown }).stderr)
  }
}
const atSecond = (ms: number) => ['-attime', String(Math.trunc(ms / 1000))]

test('a host’s certificate is good for both ends of a connection, at its names and addresses', () => {
  assert.match(verify('-purpose', 'sslclient', 'host.pem'), /^host.pem: OK/)
  for (const address of ['10.77.0.1', 'fd00::1', '127.0.0.1'])
    assert.match(verify('-purpose', 'sslserver', '-verify_ip', address, 'host.pem'), /^host.pem: OK/)
  assert.match(verify('-verify_hostname', 'h1', 'host.pem'), /^host.pem: OK/)
  assert.match(verify('-verify_hostname', 'h2', 'host.pem'), /hostname mismatch/i)
  assert.match(verify('-verify_ip', '10.77.0.2', 'host.pem'), /IP address mismatch/i)
})

test('a host cannot make hosts', async () => {
  const made = await issueCertificate({ ...host }, { ...H1, name: 'h9' }, NOW)
  writeFileSync(join(folder, 'made.pem'), made.certificatePem)
  assert.match(verify('-untrusted', 'host.pem', 'made.pem'), /invalid CA certificate/i)
})

test('what serves browsers cannot speak for a host', async () => {
  const web = await issueCertificate(authority, { purpose: 'web', name: 'cluster.example', names: [] }, NOW)
  writeFileSync(join(folder, 'web.pem'), web.certificatePem)
  assert.match(verify('-purpose', 'sslserver', '-verify_hostname', 'cluster.example', 'web.pem'), /^web.pem: OK/)
  assert.match(verify('-purpose', 'sslclient', 'web.pem'), /unsuitable certificate purpose/i)
})

test('a clock that is far behind refuses nobody, one that is years ahead does', () => {
  assert.match(verify(...atSecond(DAY_MS), 'host.pem'), /^host.pem: OK/)
  assert.match(verify(...atSecond(NOW + HOST_LIFE_MS - DAY_MS), 'host.pem'), /^host.pem: OK/)
  assert.match(verify(...atSecond(NOW + HOST_LIFE_MS + DAY_MS), 'host.pem'), /certificate has expired/i)
})

test('an authority of another cluster is nobody here', async () => {
  const other = await issueCertificate(await createAuthority('lab', NOW), H1, NOW)
  writeFileSync(join(folder, 'other.pem'), other.certificatePem)
  assert.doesNotMatch(verify('other.pem'), /OK/)
})

test('of a request only the key is taken, and only with the proof that its sender has it', async () => {
  const request = await createSigningRequest('somebody-else')
  const signed = await signCertificate(authority, request.requestPem, H1, NOW)
  assert.ok(signed.ok)
  assert.equal(readCertificate(signed.value).name, 'h1')
  const der = Buffer.from(request.requestPem.replaceAll(/-----.*-----|\s/g, ''), 'base64')
  // The name is part of what was signed.
  der.write('x', der.indexOf('somebody-else'))
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  const refused = await signCertificate(authority, forged, H1, NOW)
  assert.ok(!refused.ok)
  assert.match(refused.error.message, /not signed with its own key/)
  const nonsense = await signCertificate(authority, 'nonsense', H1, NOW)
  assert.ok(!nonsense.ok && nonsense.error.code === 'bad_request')
})

test('a renewed certificate keeps its key and gets another serial number', async () => {
  const request = await createSigningRequest('h1', host.keyPem)
  assert.equal(request.keyPem, host.keyPem)
  const renewed = await signCertificate(authority, request.requestPem, H1, NOW)
  assert.ok(renewed.ok)
  const [before, now] = [new X509Certificate(host.certificatePem), new X509Certificate(renewed.value)]
  assert.ok(before.publicKey.equals(now.publicKey))
  assert.notEqual(before.serialNumber, now.serialNumber)
})

test('what is on the list of the revoked is refused', async () => {
  writeFileSync(join(folder, 'none.crl'), await createRevocationList(authority, [], NOW))
  assert.match(verify('-crl_check', '-CRLfile', 'none.crl', 'host.pem'), /^host.pem: OK/)
  const { serial } = readCertificate(host.certificatePem)
  writeFileSync(join(folder, 'one.crl'), await createRevocationList(authority, [serial], NOW))
  assert.match(verify('-crl_check', '-CRLfile', 'one.crl', 'host.pem'), /certificate revoked/i)
})

test('a certificate is renewed after a year, and somebody is told when it was not for a month', () => {
  const made = NOW
  const age = (days: number) => ageOf(made + HOST_LIFE_MS, made + days * DAY_MS)
  assert.deepEqual([0, 364, 366, 394, 396, 5 * 365 - 1, 5 * 365].map(age), [
    ...['fresh', 'fresh', 'due', 'due', 'overdue', 'overdue', 'expired'],
  ])
  const { notAfterMs } = readCertificate(authority.certificatePem)
  assert.equal(authorityEndsSoon(notAfterMs, NOW), false)
  assert.equal(authorityEndsSoon(notAfterMs, NOW + 26 * 365 * DAY_MS), true)
})
