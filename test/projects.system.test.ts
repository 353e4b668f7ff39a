/** Tenants on a real cluster: what they have, what they may have, and what is counted. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ProjectView } from '@stead/api/endpoints/projects.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { LabCluster } from './support/lab-cluster.ts'

suite('projects', { timeout: 300_000 }, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.up({ hosts: 3 })))
  after(() => lab.down())

  test('of guests created at once through three hosts no more come to be than the quota allows, and deleting frees it', async () => {
    await lab.must('project', 'create', 'shop', '--guests', '4', '--disk', '1GiB', '--memory', '2GiB')
    const hosts = ['h1', 'h2', 'h3']
    const names = Array.from({ length: 12 }, (_, index) => `g${index}`)
    const answers = await Promise.all(
      names.map((name, index) =>
        lab.clientOf([hosts[index % hosts.length] ?? '']).call(ENDPOINTS['guest.create'], {
          body: {
            ...{ name, project: 'shop', memoryBytes: 128 << 20, boot: { kind: 'disk' } },
            disks: [{ sizeBytes: 16 << 20 }],
          },
        }),
      ),
    )
    for (const answer of answers) if (!answer.ok) assert.equal(answer.error.code, 'quota', answer.error.message)
    const made = names.filter((_, index) => answers[index]?.ok)
    assert.equal(made.length, 4)
    const { usage } = await lab.json<ProjectView>('project', 'show', 'shop')
    assert.deepEqual([usage.guests, usage.memoryBytes, usage.diskBytes], [4, 512 << 20, 128 << 20])
    await lab.must('vm', 'delete', made[0] ?? '')
    const again = await lab.clientOf(['h2']).call(ENDPOINTS['guest.create'], {
      body: {
        name: 'again',
        project: 'shop',
        memoryBytes: 128 << 20,
        boot: { kind: 'disk' },
        disks: [{ sizeBytes: 16 << 20 }],
      },
    })
    assert.equal(again.ok, true, JSON.stringify(again))
    const full = await lab.run('vm', 'assign', 'again', '--project', 'default')
    assert.equal(full.code, 0, full.stderr)
    const lower = await lab.run('project', 'set', 'shop', '--guests', '1')
    assert.equal(lower.code, FAILURES.conflict.exit, lower.stderr)
    assert.match(lower.stderr, /shop holds more: guests 3, the limit would be 1/)
  })

  test('what is used is counted on, and every host tells it, when the coordinator is gone', async () => {
    const disk = async (host: string) => {
      const answer = await lab.clientOf([host]).call(ENDPOINTS['usage.list'], { query: { project: 'shop' } })
      return answer.ok ? answer.value.items.reduce((sum, { diskGibHours }) => sum + diskGibHours, 0) : 0
    }
    await lab.until('it is counted', async () => (await disk('h1')) > 0, 60_000)
    const { coordinator } = await lab.json<{ coordinator: string }>('cluster', 'show')
    const others = ['h1', 'h2', 'h3'].filter((host) => host !== coordinator)
    const before = await disk(others[0] ?? '')
    await lab.must('lab', 'power-off', coordinator)
    await lab.until('others count on', async () => (await disk(others[0] ?? '')) > before, 90_000)
    // Never the half of a count that is being made.
    await lab.until('both tell the same', async () => (await disk(others[0] ?? '')) === (await disk(others[1] ?? '')))
    await lab.must('lab', 'power-on', coordinator)
    await lab.until('it is back', async () => (await lab.hosts()).every(({ state }) => state === 'online'), 60_000)
  })

  test('every host keeps the same audit, and what was changed in one is found', async () => {
    const entries = async () => (await lab.json<{ items: { what: string }[] }>('audit', 'list')).items
    const made = (await entries()).filter(({ what }) => what === 'vm.create')
    assert.equal(made.length >= 5, true, `${made.length} entries`)
    await lab.until('all hosts have all of it', async () => (await lab.run('audit', 'verify')).code === 0)
    const file = join(lab.env['STEAD_LAB_ROOT'] ?? '', '..', 'audit.jsonl')
    await lab.must('audit', 'export', file)
    assert.match(await lab.must('audit', 'verify', '--file', file), /entries, whole/)
    const database = new DatabaseSync(join(lab.hostFolder('h2'), 'audit.sqlite'))
    database.exec(`UPDATE entries SET text = replace(text, 'root@', 'evil@') WHERE sequence = 2`)
    database.close()
    const verified = await lab.run('audit', 'verify')
    assert.equal(verified.code, FAILURES.conflict.exit, verified.stdout)
    assert.match(verified.stderr, /h2: entry 2 is not what was written, or not in its place/)
    assert.doesNotMatch(verified.stderr, /h1:|h3:/)
  })
})
