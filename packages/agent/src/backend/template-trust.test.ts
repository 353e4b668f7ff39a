import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DEFAULT_POLICY } from '@stead/core/model/cluster-policy.ts'
import { trustedSignature } from './template-trust.ts'

const folder = mkdtempSync(join(tmpdir(), 'stead-trust-'))
let key = ''

/** As an administrator signs. */
function signed(purpose: string): string {
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-f', join(folder, 'key'), '-n', purpose, join(folder, 'file')])
  const text = readFileSync(join(folder, 'file.sig'), 'utf8')
  rmSync(join(folder, 'file.sig'))
  return text
}

before(() => {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')])
  key = readFileSync(join(folder, 'key.pub'), 'utf8').split(' ').slice(0, 2).join(' ')
  writeFileSync(join(folder, 'file'), 'an archive')
})
after(() => rmSync(folder, { recursive: true, force: true }))

const refusal = (result: ReturnType<typeof trustedSignature>) => (result.ok ? '' : result.error.message)

test('a signature by a trusted key names that key', () => {
  const text = signed('stead-template')
  assert.deepEqual(trustedSignature({ ...DEFAULT_POLICY, templateKeys: { me: key } }, text), {
    ok: true,
    value: { by: 'me', text },
  })
})

test('none is needed unless it is demanded', () => {
  assert.deepEqual(trustedSignature(DEFAULT_POLICY, undefined), { ok: true, value: undefined })
  const demanding = { ...DEFAULT_POLICY, templateSignatures: 'demanded' } as const
  assert.match(refusal(trustedSignature(demanding, undefined)), /no archive without a signature/)
})

test('one that is given is never passed over: another key, another purpose, no signature at all', () => {
  assert.match(refusal(trustedSignature(DEFAULT_POLICY, signed('stead-template'))), /not trusted here: ssh-ed25519/)
  const policy = { ...DEFAULT_POLICY, templateKeys: { me: key } }
  assert.match(refusal(trustedSignature(policy, signed('file'))), /is for "file", not for stead-template/)
  assert.match(refusal(trustedSignature(policy, 'hello')), /That is no signature/)
})
