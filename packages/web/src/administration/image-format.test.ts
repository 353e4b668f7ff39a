import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatOf, imageNameOf } from './image-format.ts'

test('a file name tells what the file probably is, and what to call it', () => {
  const told = (name: string) => [formatOf(name), imageNameOf(name)]
  assert.deepEqual(told('debian-12-generic_amd64.qcow2'), ['qcow2', 'debian-12-generic-amd64'])
  assert.deepEqual(told('Windows Server (2022).ISO'), ['iso', 'windows-server-2022'])
  assert.deepEqual(told('old disk.img'), ['raw', 'old-disk'])
  assert.deepEqual(told('alpine-rootfs.tar.gz'), ['root', 'alpine-rootfs'])
  assert.deepEqual(told('unknown'), ['qcow2', 'unknown'])
})
