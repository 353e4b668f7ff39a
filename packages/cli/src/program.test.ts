import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { failure, FAILURES } from '@stead/core/errors.ts'
import { formatServerSentEvent } from '@stead/api/server-sent-events.ts'
import { buildProgram, runProgram } from './program.ts'
import type { Terminal } from './session.ts'
import { bytes, operation, refusal, terminalWith } from './terminal-fixture.ts'

const HOSTS = {
  items: [{ name: 'h1', state: 'online', guests: [], memoryBytes: 2 ** 30, memoryGrantedBytes: 0, cpuCount: 2 }],
}

test('a list is a table for people and an array for programs', async (context) => {
  const { run } = await terminalWith(context, { 'GET /v1/hosts': HOSTS })
  assert.match((await run('host', 'list')).stdout, /^NAME +STATE .*\nh1 +online /)
  const { run: again } = await terminalWith(context, { 'GET /v1/hosts': HOSTS })
  const { stdout } = await again('host', 'list', '--json')
  assert.deepEqual(JSON.parse(stdout)[0].state, 'online')
  const { run: yaml } = await terminalWith(context, { 'GET /v1/hosts': HOSTS })
  assert.match((await yaml('host', 'list', '-o', 'yaml')).stdout, /^- name: h1\n {2}state: online\n {2}guests: \[\]\n/)
})

test('a refusal gives message, hint and the documented exit code', async (context) => {
  const refused = refusal(failure('not_found', 'There is no guest web9', { hint: 'See `stead vm list`.' }))
  const { run } = await terminalWith(context, { 'GET /v1/guests/web9': refused })
  const seen = await run('vm', 'show', 'web9')
  assert.deepEqual(
    [seen.stderr, seen.stdout, seen.exitCode],
    ['error: There is no guest web9\nhint: See `stead vm list`.\n', '', 4],
  )
  const { run: asJson } = await terminalWith(context, { 'GET /v1/guests/web9': refused })
  const json = await asJson('vm', 'show', 'web9', '--json')
  assert.equal(JSON.parse(json.stdout).code, 'not_found')
  assert.equal(json.exitCode, 4)
})

test('starting waits until the operation has ended', async (context) => {
  const states = ['running', 'running', 'succeeded']
  const { run } = await terminalWith(context, {
    'POST /v1/guests/web1/start': { operation: operation('running') },
    'GET /v1/operations/op1': () => operation(states.shift() ?? 'succeeded'),
  })
  const seen = await run('vm', 'start', 'web1', '--accept-data-loss')
  assert.equal(seen.stdout, 'vm web1 started\n')
  assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), { acceptDataLoss: true, acceptBreach: false })
  assert.equal(seen.sent.length, 4)
})

test('--no-wait ends at once and says where to look', async (context) => {
  const { run } = await terminalWith(context, { 'POST /v1/guests/web1/stop': { operation: operation('running') } })
  const seen = await run('vm', 'stop', 'web1', '--no-wait', '--force', '--grace', '5s')
  assert.match(seen.stdout, /stead operation show op1/)
  assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), { force: true, timeoutMs: 5000 })
})

test('a guest that waits ends the wait early with its reason and exit code 7', async (context) => {
  const waiting = operation('waiting', { message: 'the only current copy is on h2, which is down' })
  const { run } = await terminalWith(context, { 'POST /v1/guests/web1/start': { operation: waiting } })
  const seen = await run('vm', 'start', 'web1')
  assert.equal(seen.exitCode, 7)
  assert.match(seen.stderr, /error: the only current copy is on h2/)
})

test("a failed operation gives its failure's exit code", async (context) => {
  const failed = operation('failed', {
    failure: { code: 'no_capacity', message: 'No host has 1 TiB', hint: 'Ask for less.' },
  })
  const { run } = await terminalWith(context, { 'POST /v1/guests/web1/start': { operation: failed } })
  const seen = await run('vm', 'start', 'web1')
  assert.deepEqual([seen.exitCode, seen.stderr], [6, 'error: No host has 1 TiB\nhint: Ask for less.\n'])
})

test('a wait that is too short, and one that is interrupted, say that the work goes on', async (context) => {
  const answers = {
    'POST /v1/guests/web1/start': { operation: operation('running') },
    'GET /v1/operations/op1': () => new Promise((resolve) => setTimeout(resolve, 20, operation('running'))),
  }
  const { run } = await terminalWith(context, answers)
  const late = await run('vm', 'start', 'web1', '--timeout', '50ms')
  assert.equal(late.exitCode, 10)
  assert.match(late.stderr, /the work goes on\nhint: See `stead operation show op1`/)
  const { run: again, seen } = await terminalWith(context, {
    ...answers,
    'GET /v1/operations/op1': () => (seen.interrupt(), operation('running')),
  })
  await again('vm', 'start', 'web1')
  assert.equal(seen.exitCode, 130)
  assert.match(seen.stderr, /Interrupted; the work goes on/)
})

test('create checks the kernel, uploads what is missing, and sends sizes in bytes', async (context) => {
  const { run, seen } = await terminalWith(context, {
    [`HEAD /v1/blobs/${KERNEL_DIGEST}`]: refusal(failure('not_found', 'absent')),
    [`GET /v1/blobs/${KERNEL_DIGEST}/received`]: { receivedBytes: 0 },
    [`PUT /v1/blobs/${KERNEL_DIGEST}`]: bytes(''),
    'POST /v1/guests': { guest: { id: '1', name: 'demo' }, warnings: [], operation: operation('succeeded') },
  })
  const kernel = join(seen.folder, 'vmlinuz')
  await writeFile(kernel, KERNEL)
  await run(
    'vm',
    'create',
    'demo',
    '--memory',
    '128MiB',
    '--disk',
    '256MiB',
    '--kernel',
    kernel,
    '--append',
    'quiet',
    '--start',
    '--host',
    'h1',
  )
  assert.equal(seen.stderr, '')
  assert.equal(seen.stdout, 'vm demo created and started\n')
  assert.deepEqual(
    seen.sent.map(({ line }) => line.split(' ')[0]),
    ['HEAD', 'GET', 'PUT', 'POST'],
  )
  assert.equal(seen.sent[2]?.body, KERNEL)
  assert.deepEqual(JSON.parse(seen.sent[3]?.body ?? ''), {
    name: 'demo',
    memoryBytes: 2 ** 27,
    cpus: 1,
    disks: [{ sizeBytes: 2 ** 28, replicas: 2 }],
    start: true,
    nic: true,
    host: 'h1',
    boot: { kind: 'kernel', kernel: KERNEL_DIGEST, append: 'quiet' },
  })
})

const KERNEL = `\x7fELF kernel`
const KERNEL_DIGEST = `sha256:${createHash('sha256').update(KERNEL).digest('hex')}`

for (const [what, argv, exitCode, message] of [
  ['a file that is no kernel', ['--kernel', 'program.test.ts'], 6, /not a Linux kernel/],
  ['a kernel that is not there', ['--kernel', '/nonexistent/vmlinuz'], 2, /cannot be read/],
  ['an initrd alone', ['--disk', '1GiB', '--initrd', 'x'], 2, /need --kernel/],
  ['nothing to boot', [], 2, /nothing to boot/],
  ['a size without a unit that is known', ['--disk', '1G'], 2, /`1G` is not a size/],
  ['four replicas', ['--disk', '1GiB', '--replicas', '4'], 2, /4 is not 1, 2 or 3/],
  ['a disk of 0', ['--disk', '0'], 2, /disks\[0\]\.sizeBytes: must be at least 1 MiB/],
  ['an unknown option', ['--color'], 2, /unknown option/],
] as const) {
  test(`create refuses ${what} before anything is sent`, async (context) => {
    const { run } = await terminalWith(context, {})
    const files = argv.map((text) => (text === 'program.test.ts' ? new URL(import.meta.url).pathname : text))
    const seen = await run('vm', 'create', 'demo', '--memory', '128MiB', ...files)
    assert.equal(seen.exitCode, exitCode)
    assert.match(seen.stderr, message)
    assert.equal(seen.sent.length, 0)
  })
}

test('the console is written byte for byte', async (context) => {
  const { run } = await terminalWith(context, { 'GET /v1/guests/web1/console-log': bytes('\x1b[31mred\xff\r\n') })
  assert.equal((await run('vm', 'log', 'web1')).stdout, '\x1b[31mred\xff\r\n')
})

test('events can be followed, one JSON document a line', async (context) => {
  const stream = ['1', '2'].map((id) => formatServerSentEvent({ id, data: JSON.stringify({ id }) })).join('')
  const { run, seen } = await terminalWith(context, {
    'GET /v1/events': () => (seen.sent.length > 1 ? (seen.interrupt(), bytes('')) : bytes(stream)),
  })
  await run('event', 'list', '--follow', '--kind', 'host.lost', '--kind', 'host.online', '--json')
  assert.equal(seen.stdout, '{"id":"1"}\n{"id":"2"}\n')
  assert.equal(seen.exitCode, 0)
  assert.match(seen.sent[0]?.line ?? '', /kinds=host\.lost,host\.online/)
})

test('without a context the error says how to get one', async (context) => {
  const { terminal, seen } = await terminalWith(context, {})
  const elsewhere: Terminal = { ...terminal, env: { STEAD_CONTEXT: join(seen.folder, 'absent.json') } }
  await runProgram(buildProgram(elsewhere), ['vm', 'list'], elsewhere)
  assert.equal(seen.exitCode, 2)
  assert.match(seen.stderr, /No cluster is chosen.*\nhint: .*stead lab up/)
})

test('help is no error and shows the contract’s summaries', async (context) => {
  const { run } = await terminalWith(context, {})
  const seen = await run('vm', '--help')
  assert.equal(seen.exitCode, 0)
  assert.match(seen.stdout, /start .*Start a guest/)
})

test('the documented exit codes are the real ones', async () => {
  const page = await readFile(new URL('../../../docs/operating/cli.md', import.meta.url), 'utf8')
  for (const [code, { exit, status, title }] of Object.entries(FAILURES)) {
    assert.ok(page.includes(`| \`${code}\` | ${exit} | ${status} | ${title} |`), code)
  }
})
