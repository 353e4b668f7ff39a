import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterFile, FileGuest } from '@stead/core/model/cluster-file.ts'
import { playScenario } from './scenario-run.ts'
import { parseScenarioSteps } from './scenario-steps.ts'

const GIB = 2 ** 30

function cluster(guests: readonly Partial<FileGuest>[]): ClusterFile {
  return {
    format: 'stead-cluster/1',
    name: 'test',
    hosts: ['h1', 'h2', 'h3'].map((name) => ({ name, memoryBytes: 8 * GIB, cpus: 4 })),
    guests: guests.map((guest, index) => ({ name: `g${index + 1}`, memoryBytes: GIB, cpus: 1, ...guest })),
    rules: [],
  }
}

async function play(guests: readonly Partial<FileGuest>[], commands: string) {
  const steps = parseScenarioSteps(commands)
  assert.ok(steps.ok)
  return playScenario({ cluster: cluster(guests), steps: steps.value })
}

test('a scenario begins with its guests where the cluster file has them, and ends with where they are', async () => {
  const { log, failures } = await play([{ host: 'h2' }, { ha: 'stopped' }], '@1000 expect everything as-at-first')
  assert.deepEqual(failures, [])
  assert.deepEqual(log, [
    'At the start: h1: - | h2: g1 | h3: - | stopped: g2',
    '',
    'At the end: h1: - | h2: g1 | h3: - | stopped: g2',
  ])
})

test('what follows a command stands under it, with a bound on the time it took', async () => {
  const { log, recoveries } = await play([{ host: 'h3' }], '@1000 power-off h3\n@5000 expect g1 runs')
  assert.deepEqual(log.slice(2, 6), [
    '@1000 power-off h3',
    '  h3 is lost',
    '  g1 is granted to h1: h3 is lost',
    '  g1 runs on h1 (within 2 s)',
  ])
  assert.equal(recoveries.length, 1)
})

test('what is not as expected is a failure that says what is the case', async () => {
  const { failures } = await play([{ host: 'h1' }], '@1000 expect g1 runs-on h2')
  assert.deepEqual(failures, [
    '@1000 expected: g1 runs-on h2; but g1, which is to be running, runs on h1 (held for h1 at epoch 1)',
  ])
})

test('a recovery that takes too long is a failure, unless the guest may wait', async () => {
  const commands = `@900 policy armed false
    @1000 power-off h1
    @9000 policy armed true
    @12000 expect g1 runs`
  const slow = await play([{ host: 'h1' }], commands)
  assert.match(slow.failures.join(), /^the recovery of g1 took 8\.\d s$/)
  const patient = await play([{ host: 'h1' }], `${commands}\n@12000 may-wait g1 HA is disarmed`)
  assert.deepEqual(patient.failures, [])
})

test('a guest that cannot run where the file has it is a failure', async () => {
  const { failures } = await play([{ host: 'h1', memoryBytes: 16 * GIB }], '@1000 expect g1 runs-nowhere')
  assert.deepEqual(failures, ['at the start g1 does not run on h1, but on no host'])
})

test('lines that cannot be read are named', () => {
  const problem = (text: string) => {
    const steps = parseScenarioSteps(text)
    return steps.ok ? '' : steps.error.message
  }
  assert.match(problem('@1 stop g1\n@2 burn h1'), /^Line 2: there is no command burn/)
  assert.match(problem('@1 expect g1 dances'), /^Line 1: nothing can be expected to be 'dances'/)
  assert.match(problem('@1 expect g1 waits'), /^Line 1: waits takes one more/)
  assert.match(problem('@2 stop g1\n@1 start g1'), /^Line 2: @1 comes after/)
  assert.match(problem('now expect g1 runs'), /^Line 1: it begins with the time/)
  assert.match(problem('# nothing'), /^Nothing is done/)
})
