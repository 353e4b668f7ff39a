/** A guest's only replica moves, and its snapshots with it: they can be rolled back to where the replica is then. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { SnapshotsView } from '@stead/api/endpoints/snapshots.ts'
import type { VolumeView } from '@stead/api/views.ts'
import { resumedAt, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUEST = 'solo'

suite('moving a replica with its snapshots', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let volume = ''
  /** How far the guest was before and after the first snapshot. */
  let first: readonly [before: number, after: number] = [0, 0]

  const view = () => lab.json<VolumeView>('volume', 'show', volume)
  const list = async () => (await lab.json<SnapshotsView>('vm', 'snapshot', 'list', GUEST)).items
  const files = (host: string, pool: string) => {
    const folder = join(lab.hostFolder(host), 'pools', pool)
    return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(volume)) : []
  }
  const assertOnlyIn = async (host: string, pool: string) => {
    await lab.until(`all of it is in ${host}/${pool}`, async () => {
      const { replicas, move } = await view()
      const isThere = replicas.length === 1 && replicas[0]?.host === host && replicas[0].pool === pool
      return move === null && isThere && replicas[0]?.state === 'in-sync'
    })
    await lab.until('nothing is left elsewhere', async () =>
      ['h1', 'h2'].every((each) =>
        ['default', 'fast'].every((other) => (each === host && other === pool) || files(each, other).length === 0),
      ),
    )
    const [s1, s2] = await list()
    assert.deepEqual([s1?.hosts, s2?.hosts, s2?.memory?.hosts], [[host], [host], [host]])
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 10)
  }

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true, fastPool: true })
    await lab.createRecorder(GUEST, { replicas: 1, host: 'h1' })
    volume = (await lab.guest(GUEST)).volumes[0]?.id ?? ''
    await lab.recordsPast(GUEST, 20)
    const before = await lab.acknowledged(GUEST)
    await lab.must('vm', 'snapshot', 'create', GUEST, 's1')
    first = [before, await lab.acknowledged(GUEST)]
    await lab.recordsPast(GUEST, first[1] + 20)
    await lab.must('vm', 'snapshot', 'create', GUEST, 's2', '--memory')
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 20)
  })
  after(() => lab?.down())

  test('to another host, with the memory, while the guest writes', async () => {
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h2/default')
    await assertOnlyIn('h2', 'default')
  })

  test('the agent that is given them dies in the middle of it: the next one begins again', async () => {
    await lab.must('volume', 'move', volume, '--from', 'h2', '--to', 'h1/default', '--no-wait')
    await lab.until('it has a file', async () => files('h1', 'default').length > 0)
    await signal(lab, 'h1', 'agent')
    await assertOnlyIn('h1', 'default')
  })

  test('to another pool of the host', async () => {
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h1/fast')
    await assertOnlyIn('h1', 'fast')
  })

  test('as one more, which holds them too, and as one less', async () => {
    await lab.must('volume', 'move', volume, '--to', 'h2/default')
    const [s1] = await list()
    assert.deepEqual(s1?.hosts.toSorted(), ['h1', 'h2'], 'the new one holds them too')
    await lab.must('volume', 'move', volume, '--from', 'h2')
    await assertOnlyIn('h1', 'fast')
  })

  test('the memory is brought back to life where it has come', async () => {
    await lab.must('vm', 'snapshot', 'rollback', GUEST, 's2')
    await lab.until('it runs again', async () => (await lab.guest(GUEST)).state === 'running')
    await lab.until('it goes on', async () => /^ACK \d+/m.test(await lab.console(GUEST)))
    assert.doesNotMatch(await lab.console(GUEST), /RESUME/, 'it has not booted')
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 10)
  })

  test('the disk is what the oldest one showed', async () => {
    await lab.must('vm', 'snapshot', 'rollback', GUEST, 's1', '--delete-newer')
    await lab.until('it runs again', async () => (await lab.guest(GUEST)).state === 'running')
    const resumed = await resumedAt(lab, GUEST)
    assert(first[0] <= resumed && resumed <= first[1] + 1, `${first[0]} <= ${resumed} <= ${first[1] + 1}`)
  })
})
