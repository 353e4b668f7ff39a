import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { terminalWith } from '../terminal-fixture.ts'

const KEY = 'c3RlYWQtdGVzdC1zZWNyZXQ='
const OPERATION = {
  ...{
    id: 'o1',
    kind: 'certificate.order',
    subject: 'cluster',
    subjectName: 'cluster',
    state: 'succeeded',
    progress: 1,
  },
  ...{ message: 'done', startedAt: 0, finishedAt: 1 },
}
const TERMS = { termsOfService: 'https://ca.example/terms', website: null, demandsExternalAccount: false }
const ANSWERS = { 'PUT /v1/certificate': { operation: OPERATION }, 'POST /v1/certificate/authority': TERMS }

function fileWith(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'stead-certificate-'))
  context.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'key'), text)
  return join(folder, 'key')
}

test('nobody agrees to terms that he was not shown', async (context) => {
  const { run } = await terminalWith(context, ANSWERS)
  const seen = await run('certificate', 'order', 'web.example.org', '--directory', 'https://ca.example/dir')
  assert.equal(seen.exitCode, 2)
  assert.match(seen.stderr, /Read https:\/\/ca\.example\/terms, then repeat this with --agree-terms/)
  assert.deepEqual(
    seen.sent.map(({ body }) => JSON.parse(body)),
    [{ directoryUrl: 'https://ca.example/dir' }],
  )
})

test('what is ordered is what was said; keys come from files, so that no list of processes has them', async (context) => {
  const { run } = await terminalWith(context, ANSWERS)
  const key = fileWith(context, `${KEY}\n`)
  await run('certificate', 'order', 'web.example.org', '--agree-terms', '--http-port', '8080', '--email', 'a@b.example')
  const dns = ['--dns-server', 'ns1', '--dns-key-name', 'stead', '--dns-key-file', key, '--dns-settle', '1m']
  const account = ['--external-account-id', 'kid', '--external-account-key-file', key]
  const seen = await run('certificate', 'order', '*.example.org', 'example.org', '--agree-terms', ...dns, ...account)
  const common = { agreesToTerms: true }
  assert.deepEqual(
    seen.sent.map(({ body }) => JSON.parse(body)),
    [
      { ...common, names: ['web.example.org'], email: 'a@b.example', proof: { kind: 'http', port: 8080 } },
      {
        ...{ ...common, names: ['*.example.org', 'example.org'], externalAccount: { keyId: 'kid', hmacKey: KEY } },
        proof: { kind: 'dns', server: 'ns1', keyName: 'stead', keySecret: KEY, settleMs: 60_000 },
      },
    ],
  )
  assert.match(seen.stdout, /there is a certificate for \*\.example\.org\n/)
})

for (const argv of [
  ['web.example.org', '--agree-terms', '--dns-server', 'ns1'],
  ['web.example.org', '--agree-terms', '--dns-server', 'ns1', '--http-port', '80'],
  ['web.example.org', '--agree-terms', '--external-account-id', 'kid'],
  ['web.example.org', '--agree-terms', '--authority', '/nowhere/at/all'],
  ['web.example.org', '--agree-terms', '--http-port', 'eighty'],
]) {
  test(`certificate order ${argv.join(' ')} is refused before anything is sent`, async (context) => {
    const { run } = await terminalWith(context, {})
    const seen = await run('certificate', 'order', ...argv)
    assert.equal(seen.exitCode, 2)
    assert.equal(seen.sent.length, 0)
  })
}

test('a renewal that fails is shown with its reason, what to do, and the days that are left', async (context) => {
  const view = {
    standing: 'failing',
    wanted: {
      ...{ names: ['web.example.org'], directoryUrl: 'https://ca.example/dir', authorityPem: null, email: null },
      ...{ externalAccount: null, proof: { kind: 'http', port: 80 }, agreedAt: '2026-01-01T00:00:00Z' },
    },
    given: {
      ...{ names: ['web.example.org'], issuer: 'CN=CA', fingerprint: 'ff', notBefore: '2026-01-01T00:00:00Z' },
      ...{ notAfter: '2026-04-01T00:00:00Z', daysLeft: 12 },
    },
    renewAt: '2026-03-01T00:00:00Z',
    failing: {
      ...{ since: '2026-03-01T00:00:00Z', attempts: 3, nextAt: '2026-03-02T00:00:00Z' },
      ...{ message: 'port 80 is closed', hint: 'open it' },
    },
    revision: '1',
  }
  const { run } = await terminalWith(context, { 'GET /v1/certificate': view })
  const { stdout } = await run('certificate', 'show')
  for (const line of [
    /the last attempt failed/,
    /\(12 days\)/,
    /why: +port 80 is closed/,
    /hint: +open it/,
    /attempts: +3/,
  ])
    assert.match(stdout, line)
})
