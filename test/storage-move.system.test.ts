/** A guest's only replica moves from host to host while it writes; hosts fall and agents die in the middle of it. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { VolumeView } from '@stead/api/views.ts'
import { EventWatch, qemuOf, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUEST = 'solo'

suite('moving a replica to another host', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let volume = ''

  const view = () => lab.json<VolumeView>('volume', 'show', volume)
  const hasFile = (host: string) => existsSync(join(lab.hostFolder(host), 'pools', 'default', `${volume}.raw`))
  /** One current replica, there; no other host has a file; the guest runs on as it was, with all that it was told is safe. */
  const assertOnlyOn = async (host: string) => {
    await lab.until(`its replica is on ${host} alone`, async () => {
      const { replicas, move } = await view()
      const isAlone = replicas.length === 1 && replicas[0]?.host === host && replicas[0].state === 'in-sync'
      return move === null && isAlone && ['h1', 'h2', 'h3'].every((each) => hasFile(each) === (each === host))
    })
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 10)
    await lab.assertNothingLost(GUEST)
  }

  before(async () => {
    lab = await LabCluster.up()
    await lab.createRecorder(GUEST, { replicas: 1, host: 'h1' })
    volume = (await lab.guest(GUEST)).volumes[0]?.id ?? ''
    await lab.recordsPast(GUEST, 20)
  })
  after(() => lab?.down())

  test('is refused with a reason, and nothing changes', async () => {
    const before = await view()
    for (const [args, reason] of [
      [['--to', 'h1'], /has a replica of it already/],
      [['--from', 'h2', '--to', 'h3'], /no replica on h2/],
      [['--from', 'h1', '--to', 'h2/fast'], /no pool fast/],
      [['--from', 'h1', '--to', 'h9'], /no host h9/],
      [['--from', 'h1'], /its only current one/],
      [['--cancel'], /None of its replicas is being moved/],
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
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h2')
    await watch.until('replica.moved')
    await assertOnlyOn('h2')
    assert.equal((await lab.guest(GUEST)).epoch, epoch)
    assert.equal(qemuOf(lab, GUEST), pid)
  })

  test('agents die in the middle of it: the next ones go on', async () => {
    await lab.must('volume', 'move', volume, '--from', 'h2', '--to', 'h3', '--no-wait')
    await Promise.all(['h1', 'h2', 'h3'].map((host) => signal(lab, host, 'agent')))
    await assertOnlyOn('h3')
  })

  test('the new host falls in the middle of it: the guest goes on, and the move goes on when the host is back', async () => {
    await lab.must('lab', 'cut', 'h2', 'ran')
    await lab.must('volume', 'move', volume, '--from', 'h3', '--to', 'h2', '--no-wait')
    await lab.until('it is being copied', async () => (await view()).replicas.length === 2 && hasFile('h2'))
    await lab.must('lab', 'power-off', 'h2')
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 10)
    assert.equal((await view()).replicas.find(({ host }) => host === 'h3')?.state, 'in-sync')
    await lab.must('lab', 'power-on', 'h2')
    await lab.must('lab', 'mend', 'h2')
    await assertOnlyOn('h2')
  })

  test('is called off: the new replica goes away and nothing else changes', async () => {
    await lab.must('lab', 'cut', 'h3', 'ran')
    await lab.must('volume', 'move', volume, '--from', 'h2', '--to', 'h3', '--no-wait')
    await lab.until('its file is made', async () => hasFile('h3'))
    await lab.must('volume', 'move', volume, '--cancel')
    await lab.must('lab', 'mend', 'h3')
    await assertOnlyOn('h2')
  })

  test('storage and guest move together', async () => {
    await lab.must('vm', 'migrate', GUEST, '--to', 'h3', '--with-storage')
    assert.equal((await lab.guest(GUEST)).host, 'h3')
    await assertOnlyOn('h3')
  })

  test('gets one replica more, and one less', async () => {
    await lab.must('volume', 'move', volume, '--to', 'h1')
    assert.deepEqual((await lab.guest(GUEST)).protection.level, 'protected')
    await lab.must('volume', 'move', volume, '--from', 'h3')
    await assertOnlyOn('h1')
  })

  test('while the guest is stopped', async () => {
    await lab.must('vm', 'stop', GUEST)
    await lab.must('volume', 'move', volume, '--from', 'h1', '--to', 'h2')
    await lab.must('vm', 'start', GUEST)
    await assertOnlyOn('h2')
  })
})
