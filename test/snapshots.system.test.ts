/** Snapshots of a mirrored guest that goes on writing: on real hosts, with hosts and agents that fail meanwhile. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { SnapshotsView } from '@stead/api/endpoints/snapshots.ts'
import { EventWatch, resumedAt, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'
import { MirroredGuest } from './support/mirrored-guest.ts'

const GUEST = 'demo'

suite('snapshots', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let guest: MirroredGuest
  /** The last record that the guest was told is safe before the first snapshot, and one that came after it. */
  let before1 = 0
  let after1 = 0
  let digest1 = ''

  const pool = (host: string) => join(lab.hostFolder(host), 'pools', 'default')
  const files = (host: string) => readdirSync(pool(host)).filter((name) => name.startsWith(guest.volume))
  /** The lowest file, which nobody writes once there is a snapshot. */
  const digest = (host: string) =>
    createHash('sha256')
      .update(readFileSync(join(pool(host), `${guest.volume}.raw`)))
      .digest('hex')
  const list = () => lab.json<SnapshotsView>('vm', 'snapshot', 'list', GUEST)

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    guest = await MirroredGuest.create(lab, GUEST)
  })
  after(() => lab?.down())

  test('of a guest that writes all the time: the same on both replicas, with all that it was told is safe', async () => {
    const watch = await EventWatch.begin(lab)
    before1 = await lab.acknowledged(GUEST)
    await lab.must('vm', 'snapshot', 'create', GUEST, 's1')
    after1 = await lab.acknowledged(GUEST)
    const { details } = await watch.until('snapshot.created', { snapshot: 's1' })
    assert.equal(typeof details?.['pauseMs'], 'number')
    digest1 = digest('h1')
    assert.equal(digest(guest.remote), digest1)
    for (const host of ['h1', guest.remote]) {
      const { missing, highest } = await lab.missingRecords(guest.volume, host, before1)
      assert.deepEqual(missing, [])
      assert(highest >= before1)
    }
    await lab.recordsPast(GUEST, after1 + 10)
    assert.equal(digest('h1'), digest1, 'what a snapshot holds is not written')
    const [view] = (await list()).items
    assert.deepEqual(
      [view?.name, view?.state, view?.hosts.toSorted()],
      ['s1', 'ready', ['h1', guest.remote].toSorted()],
    )
  })

  test('a replica that is lost and brought up to date still holds it, and takes part in the next one', async () => {
    await guest.survives(guest.remote, () => signal(lab, guest.remote, 'qsd'))
    assert.equal(digest(guest.remote), digest1)
    await lab.must('vm', 'snapshot', 'create', GUEST, 's2')
    const { items } = await list()
    assert.deepEqual(
      items.map(({ name, hosts }) => [name, hosts.length]),
      [
        ['s1', 2],
        ['s2', 2],
      ],
    )
  })

  test("the agent of the guest's host is killed in the middle: the snapshot is whole or gone, and the guest goes on", async () => {
    const layers = files('h1').length
    const asked = lab.run('vm', 'snapshot', 'create', GUEST, 's3')
    await lab.until('it is begun', async () => files('h1').length > layers)
    await signal(lab, 'h1', 'agent')
    await asked
    await lab.until('it is whole or gone', async () => (await list()).items.every(({ state }) => state === 'ready'))
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 5)
    await lab.untilProtected(GUEST)
    const isWhole = (await list()).items.some(({ name }) => name === 's3')
    if (isWhole) await lab.must('vm', 'snapshot', 'delete', GUEST, 's3')
  })

  test('a deleted one is merged while the guest writes, on both hosts', async () => {
    await lab.must('vm', 'snapshot', 'delete', GUEST, 's2')
    await lab.until('nothing is left to merge but what is written now', async () =>
      ['h1', guest.remote].every((host) => files(host).filter((name) => name.endsWith('.qcow2')).length <= 2),
    )
    assert.equal(digest('h1'), digest1)
    assert.equal(digest(guest.remote), digest1)
  })

  test('is refused what cannot be, with what helps', async () => {
    const taken = await lab.run('vm', 'snapshot', 'create', GUEST, 's1')
    assert.match(taken.stderr, /has a snapshot s1 already/)
    const absent = await lab.run('vm', 'snapshot', 'rollback', GUEST, 'none')
    assert.match(absent.stderr, /has no snapshot none/)
    const short = await lab.run('vm', 'snapshot', 'schedule', GUEST, '--every', '1s', '--keep', '3')
    assert.equal(short.code, 2)
  })

  test('a schedule takes one by itself, and removes no other', async () => {
    const watch = await EventWatch.begin(lab)
    await lab.must('vm', 'snapshot', 'schedule', GUEST, '--every', '1h', '--keep', '1')
    await watch.until('snapshot.created')
    const { items, schedule } = await list()
    assert.deepEqual(
      items.map(({ scheduled }) => scheduled),
      [false, true],
    )
    assert.equal(schedule?.keep, 1)
    await lab.must('vm', 'snapshot', 'schedule', GUEST, '--off')
  })

  test('a roll-back brings the guest back to where it was, on both replicas', async () => {
    const refused = await lab.run('vm', 'snapshot', 'rollback', GUEST, 's1')
    assert.match(refused.stderr, /--delete-newer/)
    await lab.must('vm', 'snapshot', 'rollback', GUEST, 's1', '--delete-newer')
    await lab.until('it runs again', async () => (await lab.guest(GUEST)).state === 'running')
    const resumed = await resumedAt(lab, GUEST)
    assert(before1 <= resumed && resumed <= after1 + 1, `${before1} <= ${resumed} <= ${after1 + 1}`)
    await lab.untilProtected(GUEST)
    await lab.recordsPast(GUEST, resumed + 10)
    assert.deepEqual(
      (await list()).items.map(({ name }) => name),
      ['s1'],
    )
  })

  test('a deleted guest takes its snapshots along', async () => {
    await lab.must('vm', 'delete', GUEST)
    await lab.until('no file is left', async () =>
      ['h1', guest.remote].every((host) => !existsSync(pool(host)) || files(host).length === 0),
    )
  })
})
