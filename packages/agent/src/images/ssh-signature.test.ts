import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { parseSshSignature } from './ssh-signature.ts'

/** By OpenSSH 9.2, of `hello\n`; the key has been thrown away. */
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtVhFKS5Vi55+wkWmRhztag8RDG3BzK2204UF6y7Esz'
const armored = (...lines: string[]) =>
  ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n')
const BY_SHA512 = armored(
  'U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgq1WEUpLlWLnn7CRaZGHO1qDxEM',
  'bcHMrbbThQXrLsSzMAAAAOc3RlYWQtdGVtcGxhdGUAAAAAAAAABnNoYTUxMgAAAFMAAAAL',
  'c3NoLWVkMjU1MTkAAABAuhVgR4uAiJMoJgKSSQPTR5BJlrXDCMZhzlHmKWKb4tV3NOp3B8',
  'p62QrKmaxZX9h5oKCopohRcVTKLGXFCk7+DQ==',
)
const BY_SHA256 = armored(
  'U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgq1WEUpLlWLnn7CRaZGHO1qDxEM',
  'bcHMrbbThQXrLsSzMAAAAOc3RlYWQtdGVtcGxhdGUAAAAAAAAABnNoYTI1NgAAAFMAAAAL',
  'c3NoLWVkMjU1MTkAAABAfU6lkAd2QdTt6+NfnPOHNlBhHI3erXGiOQzRuheVH3+2E4Uhwx',
  'NT4/2EOCl/A8Wy2a6BZjPhWbmlPCqTOoaTDA==',
)

function parsed(text: string) {
  const signature = parseSshSignature(text)
  assert.ok(signature.ok, signature.ok ? '' : signature.error.message)
  return signature.value
}
const digest = (hash: string, text: string) => createHash(hash).update(text).digest()

for (const [hash, text] of [
  ['sha512', BY_SHA512],
  ['sha256', BY_SHA256],
] as const)
  test(`a signature of OpenSSH by ${hash} is of that file, and of no other`, () => {
    const signature = parsed(text)
    assert.deepEqual([signature.key, signature.purpose, signature.hash], [KEY, 'stead-template', hash])
    assert.equal(signature.isOf(digest(hash, 'hello\n')), true)
    assert.equal(signature.isOf(digest(hash, 'hello')), false)
    assert.equal(signature.isOf(digest('sha1', 'hello\n')), false)
  })

test('one that says another purpose, or another key, than was signed is of nothing', () => {
  const bytes = Buffer.from(BY_SHA512.split('\n').slice(1, -2).join(''), 'base64')
  for (const at of [bytes.indexOf('stead-template'), 40]) {
    const changed = Buffer.from(bytes)
    changed[at] = changed[at]! ^ 1
    const signature = parseSshSignature(armored(changed.toString('base64')))
    assert.equal(signature.ok && signature.value.isOf(digest('sha512', 'hello\n')), false)
  }
})

test('what is none is refused, wherever it is cut off', () => {
  const bytes = Buffer.from(BY_SHA512.split('\n').slice(1, -2).join(''), 'base64')
  for (let length = 0; length < bytes.length; length++)
    assert.equal(parseSshSignature(armored(bytes.subarray(0, length).toString('base64'))).ok, false, `${length} bytes`)
  for (const text of ['', 'hello', BY_SHA512.replaceAll('SSH', 'PGP'), armored('AAAA')])
    assert.equal(parseSshSignature(text).ok, false)
})
