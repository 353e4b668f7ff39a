import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import { bytes, operation, refusal, terminalWith } from '../terminal-fixture.ts'

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

const IMPORTING = { kind: 'image.import', subject: 'image/tiny@1', subjectName: 'tiny@1' }

test('an archive is uploaded and imported, and what was left out is told', async (context) => {
  const message = 'it is on h1, h2'
  const { run, seen } = await terminalWith(context, {
    ...UPLOAD,
    'POST /v1/templates': { template: 'tiny@1', operation: operation('running', IMPORTING) },
    'GET /v1/operations/op1': operation('succeeded', { ...IMPORTING, message }),
    'GET /v1/templates/tiny@1': { ...TEMPLATE, devicesLeftOut: { count: 2, first: 'dev/null' } },
  })
  const file = join(seen.folder, 'tiny.tar')
  await writeFile(file, CONTENT)
  const options = ['--version', '1', '--init', '/bin/sh  -c app', '--halt-signal', 'SIGTERM', '--sha256', DIGEST]
  await run('template', 'import', file, 'tiny', ...options)
  assert.equal(seen.stdout, 'template tiny@1 imported, 2 MiB; it is on h1, h2\n')
  assert.match(seen.stderr, /left out.* 2 devices \(dev\/null, /)
  assert.deepEqual(JSON.parse(seen.sent.find(({ line }) => line === 'POST /v1/templates')?.body ?? ''), {
    ...{ name: 'tiny', version: '1', init: ['/bin/sh', '-c', 'app'], haltSignal: 'SIGTERM', blob: `sha256:${DIGEST}` },
  })
})

test('on a terminal it is seen how much is read and sent, of an upload that broke off too', async (context) => {
  const { run, seen, terminal } = await terminalWith(context, {
    ...UPLOAD,
    [`GET /v1/blobs/sha256:${DIGEST}/received`]: { receivedBytes: 2 },
    'POST /v1/templates': { template: 'tiny@1', operation: operation('running', IMPORTING) },
    'GET /v1/operations/op1': operation('succeeded', IMPORTING),
    'GET /v1/templates/tiny@1': TEMPLATE,
  })
  Object.assign(terminal.stderr, { isTTY: true })
  const file = join(seen.folder, 'tiny.tar')
  await writeFile(file, CONTENT)
  await run('template', 'import', file, 'tiny', '--version', '1')
  assert.match(seen.stderr, /100 % reading tiny\.tar/)
  assert.match(seen.stderr, /100 % sending 5 B of 5 B, from where it broke off/)
  const sent = seen.sent.find(({ line }) => line.startsWith('PUT'))
  assert.deepEqual([sent?.line.split('?')[1], sent?.body], ['offset=2', CONTENT.slice(2)])
})

test('nobody has to wait for an import, and it can be called off', async (context) => {
  const { run, seen } = await terminalWith(context, {
    ...UPLOAD,
    'POST /v1/templates': { template: 'tiny@1', operation: operation('running', IMPORTING) },
    'DELETE /v1/imports/tiny@1': bytes(''),
  })
  const file = join(seen.folder, 'tiny.tar')
  await writeFile(file, CONTENT)
  await run('template', 'import', file, 'tiny', '--version', '1', '--no-wait')
  assert.equal(seen.stdout, 'begun, see `stead operation show op1`\n')
  await run('template', 'cancel', 'tiny@1')
  assert.match(seen.stdout, /the import of tiny@1 was called off\n$/)
})

test('an import that fails says why, and what to do, as if it had been done at once', async (context) => {
  const why = { code: 'invalid_image', message: 'it is no tar', hint: 'pack it' }
  const { run, seen } = await terminalWith(context, {
    ...UPLOAD,
    'POST /v1/templates': { template: 'tiny@1', operation: operation('running', IMPORTING) },
    'GET /v1/operations/op1': operation('failed', { ...IMPORTING, message: why.message, failure: why }),
  })
  const file = join(seen.folder, 'tiny.tar')
  await writeFile(file, CONTENT)
  await run('template', 'import', file, 'tiny', '--version', '1')
  assert.deepEqual([seen.exitCode, seen.stderr], [6, 'error: it is no tar\nhint: pack it\n'])
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
