import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority, issueCertificate } from './certificates.ts'
import { hostContent } from './host-trust.ts'
import { openSealed, sealToHosts } from './sealed-to-hosts.ts'

const NOW = Date.UTC(2026, 10, 23)
const authority = await createAuthority('demo', NOW)
const own = (id: string) => issueCertificate(authority, hostContent({ id, addresses: {} }), NOW)
const [h1, h2, h3] = [await own('h1'), await own('h2'), await own('h3')]
const sealed = await sealToHosts(
  [
    { host: 'h1', certificate: h1.certificatePem },
    { host: 'h2', certificate: h2.certificatePem },
  ],
  { key: 'of all doors' },
)

test('each host for which it was written reads it with its own key', async () => {
  for (const [host, { keyPem }] of Object.entries({ h1, h2 })) {
    const opened = await openSealed(sealed, host, keyPem)
    assert.deepEqual(opened, { ok: true, value: { key: 'of all doors' } })
  }
  assert.ok(!sealed.includes('doors'))
})

test('nobody else does, under whatever name', async () => {
  for (const host of ['h1', 'h3']) {
    const opened = await openSealed(sealed, host, h3.keyPem)
    assert.ok(!opened.ok && opened.error.code === 'forbidden', host)
  }
})

test('one that was changed, cut off, or is something else says so', async () => {
  const message = JSON.parse(sealed) as { ciphertext: string }
  const changed = {
    ...message,
    ciphertext: `${message.ciphertext.startsWith('A') ? 'B' : 'A'}${message.ciphertext.slice(1)}`,
  }
  for (const wrong of [JSON.stringify(changed), sealed.slice(0, -9), '', '{}', 'null', '{"recipients":[]}']) {
    const opened = await openSealed(wrong, 'h1', h1.keyPem)
    assert.ok(!opened.ok && opened.error.code === 'forbidden', wrong.slice(0, 20))
  }
})
