import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import { bytes, refusal, terminalWith } from '../terminal-fixture.ts'

const CONTENT = 'a tar'
const DIGEST = createHash('sha256').update(CONTENT).digest('hex')
const TEMPLATE = {
  ...{ name: 'tiny', version: '1', newest: true, blob: `sha256:${DIGEST}`, imageBytes: 2 ** 23, createdAt: 0 },
  ...{ sourceDigest: DIGEST, form: 'root', system: { haltSignal: 'SIGUSR1' } },
  ...{ os: 'Tiny 1', architecture: 'amd64', files: 7, contentBytes: 2 ** 21 },
}
const UPLOAD = {
  [`HEAD /v1/blobs/sha256:${DIGEST}`]: refusal(failure('not_found', 'absent')),
  [`GET /v1/blobs/sha256:${DIGEST}/received`]: { receivedBytes: 0 },
  [`PUT /v1/blobs/sha256:${DIGEST}`]: bytes(''),
}

test('an archive is uploaded and imported, and what was left out is told', async (context) => {
  const { run, seen } = await terminalWith(context, {
    ...UPLOAD,
    'POST /v1/templates': { template: TEMPLATE, leftOut: ['dev/null', 'dev/zero'] },
  })
  const file = join(seen.folder, 'tiny.tar')
  await writeFile(file, CONTENT)
  const options = ['--version', '1', '--init', '/bin/sh  -c app', '--halt-signal', 'SIGTERM', '--sha256', DIGEST]
  await run('template', 'import', file, 'tiny', ...options)
  assert.equal(seen.stdout, 'template tiny@1 imported, 2 MiB\n')
  assert.match(seen.stderr, /left out.* 2 devices \(dev\/null, /)
  assert.deepEqual(JSON.parse(seen.sent.at(-1)?.body ?? ''), {
    ...{ name: 'tiny', version: '1', init: ['/bin/sh', '-c', 'app'], haltSignal: 'SIGTERM', blob: `sha256:${DIGEST}` },
  })
})

test('nothing is sent of a file that is not the one that was meant', async (context) => {
  const { run, seen } = await terminalWith(context, {})
  const file = join(seen.folder, 'tiny.tar')
  await writeFile(file, CONTENT)
  await run('template', 'import', file, 'tiny', '--sha256', DIGEST.replaceAll(/\d/g, '0'))
  assert.deepEqual([seen.exitCode, seen.sent.length], [6, 0])
  assert.match(seen.stderr, new RegExp(`its SHA-256 is ${DIGEST}`))
  await run('template', 'import', file, 'tiny', '--sha256', 'abc')
  assert.deepEqual([seen.exitCode, seen.sent.length], [2, 0])
})

test('templates are listed with their versions and shown with what is known', async (context) => {
  const { run } = await terminalWith(context, { 'GET /v1/templates': { items: [TEMPLATE] } })
  assert.match((await run('template', 'list')).stdout, /^NAME .*\ntiny +1 \* +Tiny 1 +amd64 +2 MiB +1970-/)
  const { run: show } = await terminalWith(context, { 'GET /v1/templates/tiny': TEMPLATE })
  assert.match(
    (await show('template', 'show', 'tiny')).stdout,
    /Template: +tiny@1 \(newest\)\n[^]*Halt signal: +SIGUSR1/,
  )
})

test('a system without a recipe is refused before anything is built', async (context) => {
  const { run } = await terminalWith(context, {})
  const seen = await run('template', 'build', 'alpine')
  assert.deepEqual([seen.exitCode, seen.sent.length], [2, 0])
  assert.match(seen.stderr, /Write one of: busybox, debian-12/)
})
