/** Disks and network cards that come and go while a guest runs, in a lab of real hosts and a real Linux guest. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { VolumeView } from '@stead/api/views.ts'
import { EventWatch, qemuOf, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const NAME = 'plug'

/**
 * What the guest does: says which disks and cards it has whenever that changes, and writes to a second disk without end,
 * saying how many MiB it has written in each second.
 */
const SCRIPT = `
seen=
while :; do
  now="disks $(cd /sys/block; for d in vd*; do echo $d:$(cat $d/size); done | tr '\\n' ' ')nics $(ls /sys/class/net | tr '\\n' ' ')"
  [ "$now" = "$seen" ] || echo "HW $now"
  seen=$now
  if [ -b /dev/vdb ] && dd if=/dev/urandom of=/dev/vdb bs=4096 count=64 oflag=direct 2>/dev/null; then
    n=$((n + 1)); [ $((n % 20)) = 0 ] && echo "WROTE $n"
  fi
  usleep 100000
done
`

suite('hardware that changes while the guest runs', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let pid = 0
  let added = ''

  const console = () => lab.console(NAME)
  const says = (what: RegExp, timeoutMs = 60_000) =>
    lab.until(`the guest says ${what.source}`, async () => what.test(last(await console())), timeoutMs)
  /** The newest line about its hardware. */
  const last = (text: string) => text.split('\n').findLast((line) => line.startsWith('HW ')) ?? ''
  const untilWritten = async () => {
    const before = (await console()).split('WROTE').length
    await lab.until(
      'the guest writes to its new disk',
      async () => (await console()).split('WROTE').length > before + 1,
    )
  }

  before(async () => {
    lab = await LabCluster.up()
    await lab.createScripted(NAME, SCRIPT, { host: 'h1' })
    await says(/vda/, 120_000)
    pid = qemuOf(lab, NAME)
  })
  after(() => lab?.down())

  test('a disk is made, plugged in and written to; it loses a replica and gets it back', async () => {
    const watch = await EventWatch.begin(lab)
    assert.match(await lab.must('vm', 'disk', 'add', NAME, '--size', '64MiB'), /disk added/)
    await says(/vdb:131072/)
    const view = await lab.guest(NAME)
    const disk = view.volumes.find(({ name }) => name === 'disk1')
    assert.ok(disk)
    added = disk.id
    await untilWritten()
    const remote = disk.replicas.find(({ host }) => host !== 'h1')?.host ?? ''
    await signal(lab, remote, 'qsd')
    await watch.until('replica.stale', { host: remote })
    await untilWritten()
    await lab.untilProtected(NAME)
    await watch.until('resync.finished', { host: remote })
    assert.equal(qemuOf(lab, NAME), pid)
  })

  test('an added disk outlives its agent', async () => {
    await signal(lab, 'h1', 'agent')
    await untilWritten()
    await lab.until('the new agent knows it', async () => (await lab.guest(NAME)).state === 'running')
    assert.equal(qemuOf(lab, NAME), pid)
  })

  test('a network card is plugged in and taken away', async () => {
    await lab.must('vm', 'nic', 'add', NAME, '--receive', '1MiB', '--send', '2MiB')
    await says(/eth1/)
    assert.match(await lab.must('vm', 'show', NAME), /1: lan 52:54:00:.* \(receives 1 MiB\/s, sends 2 MiB\/s\)/)
    await lab.must('vm', 'nic', 'remove', NAME, '1')
    await says(/nics eth0 lo\s*$/)
  })

  test('a disk is taken away, kept, given back and deleted', async () => {
    await lab.must('vm', 'disk', 'remove', NAME, 'disk1')
    await says(/disks vda:\d+ nics/)
    const kept = async () => (await lab.json<readonly VolumeView[]>('volume', 'list')).find(({ id }) => id === added)
    assert.equal((await kept())?.attachment, 'detached')
    await lab.must('vm', 'disk', 'add', NAME, '--volume', added)
    await says(/vdb:131072/)
    await untilWritten()
    await lab.must('vm', 'disk', 'remove', NAME, 'disk1', '--delete')
    await says(/disks vda:\d+ nics/)
    await lab.until('its volume is gone', async () => (await kept()) === undefined)
    assert.equal(qemuOf(lab, NAME), pid)
    assert.equal((await lab.guest(NAME)).pending.length, 0)
  })
})
