import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operation, terminalWith } from '../terminal-fixture.ts'

const NUMPROC = {
  ...{ resource: 'numproc', held: 12, maxHeld: 40, barrier: null, limit: 40, failures: 7, enforced: 'limit' },
}
const COUNTERS = {
  'GET /v1/guests/web/counters': {
    ...{ guest: 'web', host: 'h1' },
    items: [{ ...NUMPROC, unit: 'count', meaning: 'processes and threads' }],
  },
}
const use = (guest: string, cpuPercent: number | null, more = {}) => ({
  ...{ guest, id: guest, kind: 'ct', host: 'h1', cpuPercent, memoryHeldBytes: 2 ** 20, memoryLimitBytes: 2 ** 26 },
  ...{ swapHeldBytes: 0, processes: 2, processesMax: null, readBytesPerSecond: 0, writtenBytesPerSecond: 2048 },
  ...{ receivedBytesPerSecond: null, sentBytesPerSecond: null, refused: {}, ...more },
})

test('counters are a table for people and a plain list, named as in OpenVZ, for programs', async (context) => {
  const { run } = await terminalWith(context, COUNTERS)
  assert.match(
    (await run('ct', 'counters', 'web')).stdout,
    /^RESOURCE +HELD .*\nnumproc +12 +40 +- +40 +7 +limit +count/,
  )
  const { run: json } = await terminalWith(context, COUNTERS)
  assert.deepEqual(JSON.parse((await json('ct', 'counters', 'web', '--json')).stdout), [NUMPROC])
})

test('--explain says what each resource is, with a name and without', async (context) => {
  const { run } = await terminalWith(context, COUNTERS)
  assert.match(
    (await run('ct', 'counters', 'web', '--explain')).stdout,
    /processes and threads\. limit: a fork above it/,
  )
  const { run: all, seen } = await terminalWith(context, {})
  assert.match((await all('ct', 'counters', '--explain')).stdout, /^numfile +count +RLIMIT_NOFILE +open files/m)
  assert.deepEqual(seen.sent, [])
  const { run: none } = await terminalWith(context, {})
  assert.equal((await none('ct', 'counters')).exitCode, 2)
})

test('top puts first what takes most, and names hosts that are missing', async (context) => {
  const items = [use('idle', null), use('busy', 93.25, { refused: { numproc: 3 } }), use('half', 50)]
  const { run } = await terminalWith(context, { 'GET /v1/counters': { items, silent: ['h2'] } })
  const seen = await run('top', '--once')
  assert.deepEqual(
    seen.stdout.split('\n').map((line) => line.split(' ')[0]),
    ['NAME', 'busy', 'half', 'idle', ''],
  )
  assert.match(seen.stdout, /^busy +ct +h1 +93\.3 +1 MiB +64 MiB +2 +0 B +2 KiB +- +- +numproc 3$/m)
  assert.match(seen.stderr, /h2 did not answer/)
  const { run: wrong } = await terminalWith(context, {})
  assert.match((await wrong('top', '--sort', 'colour')).stderr, /Write cpu, memory/)
})

test('top looks again and again, a line of JSON each time, until it is interrupted', async (context) => {
  let looks = 0
  const { run, seen } = await terminalWith(context, {
    'GET /v1/counters': () => {
      looks += 1
      if (looks === 2) seen.interrupt()
      return { items: [use('web', looks)], silent: [] }
    },
  })
  await run('top', '--interval', '1s', '--json')
  const lines = seen.stdout.trim().split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)[0].cpuPercent),
    [1, 2],
  )
  assert.ok(seen.sent.every(({ line }) => line.endsWith('?ageMs=1000')))
})

test('host overcommit shows each host and all together, and says what is oversold', async (context) => {
  const row = (measure: string, promised: number, level: string) => ({
    ...{ measure, capacity: 2 ** 30, used: 2 ** 29, promised, allowed: null },
    ...{ utilization: 0.5, commitment: promised / 2 ** 30, reach: null, level },
  })
  const report = (host: string) => ({
    ...{ host, vmMemoryBytes: 2 ** 28, oversold: true, tooLarge: ['web'] },
    rows: [row('memory-and-swap', 2 ** 31, 'unsafe')],
  })
  const answer = { hosts: [report('h1')], cluster: report(''), silent: [] }
  const { run } = await terminalWith(context, { 'GET /v1/overcommit': answer })
  const { stdout } = await run('host', 'overcommit')
  assert.match(stdout, /^h1 +memory-and-swap +1 GiB +512 MiB \(50 %\) +2 GiB \(200 %\) +all of it +unsafe$/m)
  assert.match(stdout, /^all hosts +memory-and-swap/m)
  assert.match(stdout, /^h1 is oversold/m)
  assert.match(stdout, /^h1: 256 MiB belong to virtual machines/m)
  assert.match(stdout, /^h1: these alone .*: web$/m)
})

test('a preset gives a new container its memory, its disk and its limits, and what is said beside it comes on top', async (context) => {
  const created = { guest: { id: '1', name: 'c' }, warnings: [], operation: operation('succeeded') }
  const sent = async (...options: string[]) => {
    const { run } = await terminalWith(context, { 'POST /v1/guests': created })
    const seen = await run('ct', 'create', 'c', '--template', 'busybox', ...options)
    return { body: JSON.parse(seen.sent[0]?.body ?? '{}'), stderr: seen.stderr }
  }
  const { body } = await sent('--preset', 'vps.light', '--processes', '60')
  assert.deepEqual([body.memoryBytes, body.disks[0].sizeBytes], [64 * 2 ** 20, 200 * 2 ** 20])
  assert.deepEqual([body.container.limits.numproc, body.container.limits.cpuunits], [{ limit: 60 }, { limit: 250 }])
  assert.deepEqual([body.container.limits.physpages, body.container.limits.diskspace], [undefined, undefined])
  const { body: larger } = await sent('--preset', 'vps.light', '--memory', '1GiB', '--disk', '2GiB')
  assert.deepEqual([larger.memoryBytes, larger.disks[0].sizeBytes], [2 ** 30, 2 ** 31])
  assert.match((await sent('--preset', 'vps.light2')).stderr, /there is no preset.*\n.*vps\.basic/)
  assert.match((await sent('--disk', '64MiB')).stderr, /--memory is missing/)
})

test('a preset replaces all limits of a container that exists', async (context) => {
  const { run } = await terminalWith(context, {})
  const seen = await run('ct', 'set', 'c', '--preset', 'vps.small', '--limit', 'numfile=100')
  const body = JSON.parse(seen.sent[0]?.body ?? '{}')
  assert.equal(body.memoryBytes, 512 * 2 ** 20)
  const { numproc, numfile, numflock } = body.container.limits
  assert.deepEqual([numproc, numfile, numflock], [{ barrier: 512, limit: 512 }, { barrier: 100, limit: 100 }, {}])
})
