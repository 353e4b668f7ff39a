import assert from 'node:assert/strict'
import { test } from 'node:test'
import { terminalWith } from '../terminal-fixture.ts'
import { course } from './metrics.ts'

const VIEW = {
  ...{ subject: 'web', from: '2026-11-23T02:00:00.000Z', to: '2026-11-23T02:00:40.000Z', stepMs: 10_000 },
  metrics: [
    { name: 'cpuCores', unit: 'cores', meaning: 'processors kept busy' },
    { name: 'memoryBytes', unit: 'bytes', meaning: 'memory in use' },
    { name: 'readLatencyMs', unit: 'ms', meaning: 'how long a read took' },
  ],
  series: { cpuCores: [0, 1, null, 2], memoryBytes: [1, 1, 1, 2 ** 30], readLatencyMs: [null, null, null, null] },
  ...{ hosts: ['h1'], silent: ['h2'] },
}

test('a line for each thing that was measured, and a word on hosts that are missing', async (context) => {
  const { run } = await terminalWith(context, { 'GET /v1/guests/web/metrics': VIEW })
  const { stdout, stderr } = await run('vm', 'metrics', 'web', '--since', '10m')
  assert.match(stdout, /^processors kept busy +2\.00 +1\.00 +2\.00 +▁▅ █$/m)
  assert.match(stdout, /^memory in use +1 GiB +256 MiB +1 GiB/m)
  assert.doesNotMatch(stdout, /read took/)
  assert.match(stderr, /h2 did not answer/)
})

test('the time is asked for as it was typed, and what is none is refused', async (context) => {
  const { run, seen } = await terminalWith(context, { 'GET /v1/hosts/h1/pools/fast/metrics': { ...VIEW, series: {} } })
  const { stdout } = await run('host', 'metrics', 'h1', '--pool', 'fast', '--since', '1d', '--step', '15m')
  assert.equal(stdout, 'Nothing was measured then\n')
  assert.equal(seen.sent.length, 1)
  const { run: again } = await terminalWith(context, {})
  assert.equal((await again('host', 'metrics', 'h1', '--since', 'yesterday')).exitCode, 2)
  const { run: never } = await terminalWith(context, {})
  assert.equal((await never('host', 'metrics', 'h1', '--since', '0s')).exitCode, 2)
})

test('the load of pools comes with who causes it', async (context) => {
  const item = {
    ...{ host: 'h1', pool: 'default', nowRatio: 0.3, meanRatio: 0.12, level: 'busy', othersShare: 0.25 },
    ...{ readsPerSecond: 1, writesPerSecond: 2, readBytesPerSecond: 3, writtenBytesPerSecond: 4 },
    ...{ readLatencyMs: null, writeLatencyMs: 1.5, causes: [{ guest: 'web', id: 'x', share: 0.75 }] },
  }
  const answer = { lineRatio: 0.1, items: [item], silent: [] }
  const { run } = await terminalWith(context, { 'GET /v1/storage-load': answer })
  assert.match(
    (await run('host', 'storage-load')).stdout,
    /^h1 +default +12\.0 % +30\.0 % +busy +1\.50 ms +web 75\.0 %, others 25\.0 %$/m,
  )
})

test('the networks of hosts come with who is not heard there', async (context) => {
  const port = { name: 'bond0', kind: 'bond', vlan: null, state: 'up', speedBitsPerSecond: 25e9, mtuBytes: 9000 }
  const members = [
    { name: 'ens1', state: 'up', speedBitsPerSecond: 25e9 },
    { name: 'ens2', state: 'down', speedBitsPerSecond: null },
  ]
  const item = {
    ...{ host: 'h1', network: 'san', address: '10.0.0.1' },
    port: { ...port, members, faultyPackets: 0, droppedPackets: 0 },
    peers: [
      { host: 'h2', silentMs: 9_000, state: 'silent' },
      { host: 'h3', silentMs: null, state: 'down' },
      { host: 'h4', silentMs: 100, state: 'heard' },
    ],
  }
  const lonely = { host: 'h2', network: 'lan', address: '10.0.1.2', port: null, peers: [] }
  const { run } = await terminalWith(context, { 'GET /v1/networks': { items: [item, lonely], silent: ['h3'] } })
  const { stdout, stderr } = await run('host', 'networks')
  assert.match(
    stdout,
    /^h1 +san +10\.0\.0\.1 +bond0 \(bond over ens1, ens2 without link\) +up +25 Gbit\/s +9000 +h2, h3 \(down\)$/m,
  )
  assert.match(stdout, /^h2 +lan +10\.0\.1\.2 +- +no port/m)
  assert.match(stderr, /h3 did not answer/)
})

test('a long time has no more bars than fit', () => {
  assert.equal(course(Array.from({ length: 720 }, (_, index) => index)).length, 40)
  assert.equal(course([0, 0]), '▁▁')
})
