/** A replica changes from one pool of its host to another while its guest writes; agents and daemons die in the middle of it. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { VolumeView } from '@stead/api/views.ts'
import { EventWatch, qemuOf, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUEST = 'web'

suite('moving a replica from pool to pool of one host', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let volume = ''

  const view = () => lab.json<VolumeView>('volume', 'show', volume)
  const hasFile = (pool: string) => existsSync(join(lab.hostFolder('h1'), 'pools', pool, `${volume}.raw`))
  /** Both replicas current and equal, that of h1 in this pool, with no file in the other; all that was acknowledged is there. */
  const assertIn = async (pool: string) => {
    await lab.until(`its replica on h1 is in ${pool} alone`, async () => {
      const { replicas, move } = await view()
      const isThere = replicas.find(({ host }) => host === 'h1')?.pool === pool
      const areCurrent = replicas.length === 2 && replicas.every(({ state }) => state === 'in-sync')
      return move === null && isThere && areCurrent && hasFile(pool) && !hasFile(pool === 'fast' ? 'default' : 'fast')
    })
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 10)
    await lab.assertNothingLost(GUEST)
  }

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true, fastPool: true })
    await lab.createRecorder(GUEST, { replicas: 2, host: 'h1' })
    volume = (await lab.guest(GUEST)).volumes[0]?.id ?? ''
    await lab.recordsPast(GUEST, 20)
  })
  after(() => lab?.down())

  test('is refused with a reason, and nothing changes', async () => {
    const before = await view()
    for (const [args, reason] of [
      [['--from', 'h1', '--to', 'h1/default'], /in default already/],
      [['--from', 'h1', '--to', 'h1/slow'], /no other pool slow/],
      [['--from', 'h1/fast', '--to', 'h1/default'], /no replica on h1\/fast/],
      [['--to', 'h1/fast'], /has a replica of it already/],
    ] as const) {
      const { code, stderr } = await lab.run('volume', 'move', volume, ...args)
      assert.notEqual(code, 0, args.join(' '))
      assert.match(stderr, reason)
    }
    assert.deepEqual(await view(), before)
  })

  test('the guest writes on, and the old file goes', async () => {
    const { epoch } = await lab.guest(GUEST)
    const pid = qemuOf(lab, GUEST)
    const watch = await EventWatch.begin(lab)
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h1/fast')
    await watch.until('replica.moved')
    await assertIn('fast')
    assert.equal((await lab.guest(GUEST)).epoch, epoch)
    assert.equal(qemuOf(lab, GUEST), pid)
    await watch.assertNone('replica.stale', 'resync.failed')
  })

  test('the agent dies in the middle of it: the next one goes on', async () => {
    const pid = qemuOf(lab, GUEST)
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h1', '--no-wait')
    await lab.until('the new file is made', async () => hasFile('default'))
    await signal(lab, 'h1', 'agent')
    await assertIn('default')
    assert.equal(qemuOf(lab, GUEST), pid)
  })

  test('the storage daemon dies in the middle of it: the guest goes on with the other replica', async () => {
    const pid = qemuOf(lab, GUEST)
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h1/fast', '--no-wait')
    await lab.until('the new file is made', async () => hasFile('fast'))
    await signal(lab, 'h1', 'qsd')
    await assertIn('fast')
    assert.equal(qemuOf(lab, GUEST), pid)
  })

  test('is called off: the new file goes away and nothing else changes', async () => {
    // While a replica is behind, nothing takes another one's place.
    await lab.must('lab', 'power-off', 'h2')
    await lab.until('the other replica is behind', async () =>
      (await view()).replicas.some(({ host, state }) => host === 'h2' && state !== 'in-sync'),
    )
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h1/default', '--no-wait')
    await lab.until('its file is made', async () => hasFile('default'))
    assert.match((await view()).move?.message ?? '', /when all replicas are in sync/)
    await lab.must('volume', 'move', volume, '--cancel')
    await lab.must('lab', 'power-on', 'h2')
    await assertIn('fast')
  })

  test('while the guest is stopped', async () => {
    await lab.must('vm', 'stop', GUEST)
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h1/default')
    await lab.must('vm', 'start', GUEST)
    await assertIn('default')
  })
})
