import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { formatOf, imageNameOf } from './image-format.ts'
import { digestOf } from './image-upload.ts'

test('a file name tells what the file probably is, and what to call it', () => {
  const told = (name: string) => [formatOf(name), imageNameOf(name)]
  assert.deepEqual(told('debian-12-generic_amd64.qcow2'), ['qcow2', 'debian-12-generic-amd64'])
  assert.deepEqual(told('Windows Server (2022).ISO'), ['iso', 'windows-server-2022'])
  assert.deepEqual(told('old disk.img'), ['raw', 'old-disk'])
  assert.deepEqual(told('alpine-rootfs.tar.gz'), ['root', 'alpine-rootfs'])
  assert.deepEqual(told('unknown'), ['qcow2', 'unknown'])
})

test('the digest of a file is that of all its parts in order', async () => {
  const bytes = randomBytes(9 * 2 ** 20 + 7)
  const shares: number[] = []
  const digest = await digestOf(new Blob([bytes]), new AbortController().signal, (share) => shares.push(share))
  assert.equal(digest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  assert.deepEqual(
    shares.map((share) => Math.round(share * 100)),
    [44, 89, 100],
  )
})
