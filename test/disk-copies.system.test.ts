/** Clones, templates and exports as operations: seen, called off, and interrupted by what can happen to their host. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OperationView } from '@stead/api/views.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { LabCluster } from './support/lab-cluster.ts'

const MIB = 2 ** 20
const SIZE = 128 * MIB
const CAUGHT_MS_MAX = 60_000

suite('copies of disks', { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-copies-'))
  const source = join(folder, 'source.raw')
  let lab: LabCluster

  before(async () => {
    writeFileSync(source, randomBytes(SIZE))
    lab = await LabCluster.up({ hosts: 2, witness: true })
    await lab.must('image', 'import', 'source', source)
    await lab.must('vm', 'create', 'one', '--memory', '64MiB', '--image', 'source')
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  const worked = (host: string) => readdirSync(join(lab.hostFolder(host), 'imports'))
  const blobs = (host: string) => readdirSync(join(lab.hostFolder(host), 'blobs')).toSorted()
  const show = (id: string) => lab.json<OperationView>('operation', 'show', id)
  const guests = async () => (await lab.json<{ name: string }[]>('vm', 'list')).map(({ name }) => name)
  const isAlive = (pid: number) =>
    existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  /** The program that reads the disk; it stands still from now on. */
  const caught = async (): Promise<number> => {
    for (const until = Date.now() + CAUGHT_MS_MAX; Date.now() < until; await sleep(2)) {
      for (const pid of lab.processes()) {
        let command: string[] = []
        try {
          command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
        } catch {
          // It has ended.
        }
        if (command[0] !== 'qemu-img' || command[1] !== 'convert') continue
        process.kill(pid, 'SIGSTOP')
        return pid
      }
    }
    return assert.fail('nobody reads the disk')
  }
  const begun = async (...command: string[]) => {
    const answer = await lab.json<OperationView | { readonly operation: OperationView }>(...command, '--no-wait')
    const { id } = 'operation' in answer ? answer.operation : answer
    return { id, pid: await caught() }
  }
  const ended = async (id: string) => {
    let seen: OperationView | undefined
    await lab.until(`the operation ${id} has ended`, async () => {
      seen = await show(id)
      return seen.state === 'succeeded' || seen.state === 'failed'
    })
    return seen!
  }
  const diskOf = async (name: string) => (await lab.guest(name)).volumes[0]?.id ?? ''
  const isLikeSource = async (name: string) => {
    for (const host of ['h1', 'h2'])
      execFileSync('cmp', [source, join(lab.hostFolder(host), 'pools', 'default', `${await diskOf(name)}.raw`)])
  }

  test('a clone of a stopped guest tells how far it is, and has the same on both hosts', async () => {
    const { id, pid } = await begun('vm', 'clone', 'one', 'two')
    await lab.until('the step is told', async () => (await show(id)).message.includes('copying'))
    assert.match((await show(id)).message, /^the other's disks: copying it, .+ of 128 MiB \(h[12]\)$/)
    const refused = await lab.run('vm', 'clone', 'one', 'two')
    assert.equal(refused.code, FAILURES.name_taken.exit)
    process.kill(pid, 'SIGCONT')
    assert.equal((await ended(id)).state, 'succeeded')
    await isLikeSource('two')
    assert.deepEqual([worked('h1'), worked('h2')], [[], []])
  })

  test('a clone that is called off is deleted, its program ends, and nothing is left', async () => {
    const before = [blobs('h1'), blobs('h2')]
    const { id, pid } = await begun('vm', 'clone', 'one', 'three')
    await lab.must('vm', 'cancel-copy', 'three')
    await lab.until('its program has ended', async () => !isAlive(pid))
    await lab.until('the clone is gone', async () => !(await guests()).includes('three'))
    assert.deepEqual([(await show(id)).state, (await show(id)).message], ['failed', 'the copy was called off'])
    assert.deepEqual([blobs('h1'), blobs('h2')], before)
    assert.deepEqual([worked('h1'), worked('h2')], [[], []])
  })

  test('the agent is killed in the middle of a template: its program ends with it, and the next begins again', async () => {
    const { id, pid } = await begun('vm', 'template', 'two')
    const [, host = ''] = /\((h[12])/.exec((await show(id)).message) ?? []
    await lab.must('lab', 'kill', host, 'agent')
    await lab.until('the program has ended', async () => !isAlive(pid))
    assert.match((await ended(id)).message, /it is on h[12], h[12]/)
    await lab.must('vm', 'clone', 'two', 'four', '--linked')
    assert.deepEqual([worked('h1'), worked('h2')], [[], []])
  })

  test('an export goes on on the other host when its own is lost, and the file is what the disk holds', async () => {
    const volume = await diskOf('one')
    const { id } = await begun('volume', 'export', volume, join(folder, 'unused'))
    const [, host = ''] = /\((h[12])/.exec((await show(id)).message) ?? []
    const other = host === 'h1' ? 'h2' : 'h1'
    await lab.must('lab', 'power-off', host)
    const { state, made } = await ended(id)
    assert.deepEqual([state, blobs(other).includes(made?.blob.replace(':', '-') ?? '')], ['succeeded', true])
    const target = join(folder, 'one.qcow2')
    await lab.must('volume', 'export', volume, target)
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', source, target])
    await lab.must('lab', 'power-on', host)
    await lab.untilProtected('one')
  })
})
