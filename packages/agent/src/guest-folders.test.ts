import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { shorten } from './guest-folders.ts'

test('the newest whole lines stay', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'stead-console-'))
  try {
    const path = join(folder, 'console.log')
    await writeFile(path, 'one\ntwo\nthree\nfour\n')
    await shorten(path, 8)
    assert.equal(await readFile(path, 'utf8'), 'four\n')
    await shorten(path, 8)
    assert.equal(await readFile(path, 'utf8'), 'four\n')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
