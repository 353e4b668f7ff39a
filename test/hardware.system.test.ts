/** Disks and network cards that come and go while a guest runs, in a lab of real hosts and a real Linux guest. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { ContainerCounterView } from '@stead/api/endpoints/counters.ts'
import type { VolumeView } from '@stead/api/views.ts'
import { EventWatch, qemuOf, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const NAME = 'plug'

/**
 * What the guest does: says which disks and cards it has whenever that changes, and writes to a second disk without end,
 * saying so now and then, by a node of its own: `dd` makes /dev/vdb a plain file when the disk goes just before, and the
 * kernel then has no room for the node of the next one. Through a second card it sends small packets while it has that: a
 * datagram for each line that it logs.
 */
const SCRIPT = `
seen=
flood() {
  ip link set eth1 up && ip address add 10.77.0.9/24 dev eth1 && ip route add 239.0.0.0/8 dev eth1
  syslogd -n -R 239.9.9.9:514 &
  while [ -e /sys/class/net/eth1 ]; do yes x | head -n 500 | logger; usleep 100000; done
  kill $!
}
while :; do
  now="disks $(cd /sys/block; for d in vd*; do echo $d:$(cat $d/size); done | tr '\\n' ' ')nics $(ls /sys/class/net | tr '\\n' ' ')"
  [ "$now" = "$seen" ] || echo "HW $now"
  seen=$now
  number=$(cat /sys/block/vdb/dev 2>/dev/null)
  if [ -n "$number" ]; then
    rm -f /disk; mknod /disk b \${number%:*} \${number#*:}
    if dd if=/dev/urandom of=/disk bs=4096 count=64 oflag=direct 2>/dev/null; then
      n=$((n + 1)); [ $((n % 20)) = 0 ] && echo "WROTE $n"
    fi
  fi
  if [ -e /sys/class/net/eth1 ] && [ -z "$floods" ]; then floods=yes; flood & fi
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
    // Nothing is refused before there is a limit, nor forgotten once there is none.
    const packets = async () => (await lab.json<readonly ContainerCounterView[]>('vm', 'counters', NAME))[0]
    assert.deepEqual([(await packets())?.limit, (await packets())?.failures], [null, 0])
    await lab.must('vm', 'nic', 'limit', NAME, '1', '--packets', '100')
    await lab.until('packets are dropped and counted', async () => ((await packets())?.failures ?? 0) > 0)
    assert.equal((await packets())?.limit, 100)
    const shown = await lab.must('vm', 'show', NAME)
    assert.match(shown, /1: lan 52:54:00:.* \(sends 100 packets\/s\)/)
    assert.match(shown, /^refused: +packetrate \d+$/m)
    await lab.until('it is an event', async () =>
      (await lab.events()).some(({ kind, message }) => kind === 'guest.limit-reached' && /packetrate/.test(message)),
    )
    const refused = await lab.run('vm', 'nic', 'limit', NAME, '1', '--packets', '99')
    assert.equal(refused.code, 2, refused.stderr)
    await lab.must('vm', 'nic', 'limit', NAME, '1')
    await lab.until('it is lifted', async () => {
      const filter = await lab.must('lab', 'exec', 'h1', '--', 'nft', 'list', 'set', 'bridge', 'stead', 'paced')
      return !filter.includes('limit rate over 100/second')
    })
    assert.ok(((await packets())?.failures ?? 0) > 0, 'what was refused is not forgotten')
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
