import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { buildProgram, runProgram } from '../program.ts'
import { processTerminal } from '../session.ts'

const HOSTS = ['n1', 'n2', 'n3'].map((id) => ({ id, cpu: 8, memMiB: 4_096 }))
const guest = (id: string, node: string) => ({ id, cpu: 1, memMiB: 1_024, priority: 0, node })

async function runOn(context: TestContext, cluster: unknown, ...options: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'stead-bench-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'cluster.json')
  await writeFile(file, typeof cluster === 'string' ? cluster : JSON.stringify(cluster))
  const seen = { stdout: '', stderr: '', exitCode: 0 }
  const terminal = {
    ...processTerminal,
    stdout: { write: (text: string | Uint8Array) => (seen.stdout += String(text)) },
    stderr: { write: (text: string) => (seen.stderr += text) },
    setExitCode: (code: number) => void (seen.exitCode = code),
  }
  await runProgram(buildProgram(terminal), ['bench', 'export', '--cluster', file, ...options], terminal)
  return seen
}

test('bench export prints where each guest is after the loss of hosts, and leaves out those without a place', async (context) => {
  const guests = [guest('vm1', 'n1'), guest('vm2', 'n3'), { ...guest('big', 'n1'), memMiB: 4_096, cpu: 9 }]
  const cluster = { format: 'spike-cluster/1', nodes: HOSTS, guests, constraints: [] }
  const { stdout, stderr, exitCode } = await runOn(context, cluster, '--fail', 'n1')
  assert.deepEqual(JSON.parse(stdout), { vm1: 'n2', vm2: 'n3' })
  assert.match(stderr, /^1 placed, 1 not, in /)
  assert.equal(exitCode, 0)
})

test('bench export --rebalance evens out the hosts with at most so many moves', async (context) => {
  const guests = ['vm1', 'vm2', 'vm3'].map((id) => guest(id, 'n1'))
  const cluster = { format: 'spike-cluster/1', nodes: HOSTS, guests }
  const evened = await runOn(context, cluster, '--rebalance')
  assert.deepEqual(new Set(Object.values(JSON.parse(evened.stdout))), new Set(['n1', 'n2', 'n3']))
  const once = await runOn(context, cluster, '--rebalance', '--moves', '1')
  assert.equal(Object.values(JSON.parse(once.stdout)).filter((host) => host !== 'n1').length, 1)
})

test('bench export says what is wrong with its arguments and its file', async (context) => {
  const cluster = { format: 'spike-cluster/1', nodes: HOSTS, guests: [], constraints: [] }
  const cases: [unknown, string[], RegExp][] = [
    [cluster, ['--fail', 'n9'], /the host n9 is not in the file/],
    [cluster, ['--rebalance', '--fail', 'n1'], /exclude each other/],
    [cluster, ['--rebalance', '--moves', 'x'], /`x` is not a whole number/],
    ['{"format":', [], /cannot be read as JSON/],
  ]
  for (const [file, options, message] of cases) {
    const { stderr, exitCode } = await runOn(context, file, ...options)
    assert.match(stderr, message)
    assert.equal(exitCode, 2)
  }
})
