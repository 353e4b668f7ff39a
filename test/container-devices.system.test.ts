/** Disks, network cards and addresses that come to a running container and leave it, as a user has them. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { acknowledgedOn, replaced, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const NAME = 'web'
const FIRST = '10.66.210.11'
const SECOND = '10.66.210.12'
const OTHER_CARD = '10.66.210.13'

suite('devices of a running container', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let [id, epoch] = ['', 0]

  before(async () => {
    lab = await LabCluster.up()
    await lab.importRecorderTemplate()
    await lab.createContainer(NAME, ['--host', 'h1', '--address', `${FIRST}/16`])
    const guest = await lab.guest(NAME)
    ;[id, epoch] = [guest.id, guest.epoch ?? 0]
    await lab.untilProtected(NAME)
  })
  after(() => lab?.down())

  const exec = (script: string) => lab.run('ct', 'exec', NAME, '--', 'sh', '-c', script)
  const told = async (script: string) => {
    const { code, stdout, stderr } = await exec(script)
    assert.equal(code, 0, `${script}: ${stderr}`)
    return stdout.trim()
  }
  const home = async () => (await lab.guest(NAME)).host ?? ''
  const disks = async () => (await lab.guest(NAME)).volumes.map(({ name }) => name)
  const answers = async (address: string) =>
    (await lab.run('lab', 'client', '--', 'ping', '-c', '1', '-W', '1', address)).code === 0
  const isOnline = async (host: string) =>
    (await lab.hosts()).some((each) => each.name === host && each.state === 'online')

  /** It was never started anew, and writes on. */
  async function runsOn(): Promise<void> {
    assert.equal((await lab.guest(NAME)).epoch, epoch)
    await lab.recordsPast(NAME, acknowledgedOn(lab, await home(), id) + 5)
    assert.doesNotMatch(await lab.console(NAME), /WERR|FERR/, 'its recorder has seen an error')
  }

  test('a disk is mounted where it was said, owned by the container, and mirrored', async () => {
    await lab.must('ct', 'disk', 'add', NAME, '--size', '32MiB', '--mount', '/srv/data/deep')
    assert.match(await told('grep " /srv/data/deep " /proc/mounts'), /ext4/)
    assert.equal(
      await told('echo kept > /srv/data/deep/file; sync /srv/data/deep/file; stat -c %u:%g /srv/data/deep/file'),
      '0:0',
    )
    await lab.untilProtected(NAME)
    const added = (await lab.guest(NAME)).volumes.find(({ name }) => name === 'disk1')
    assert.equal(added?.replicas.length, 2)
    await runsOn()
  })

  test('what leads out of it by a symbolic link does not', async () => {
    await told('ln -s /proc/1/root/../../../../tmp /escape')
    await lab.must('ct', 'disk', 'add', NAME, '--size', '16MiB', '--mount', '/escape/stead-out', '--replicas', '1')
    assert.match(await told('grep stead-out /proc/mounts'), / \/tmp\/stead-out ext4/)
    await lab.must('ct', 'disk', 'remove', NAME, 'disk2', '--delete')
    await runsOn()
  })

  test('a place that is no folder is refused with the reason, and nothing of the disk stays in the container', async () => {
    await told('echo > /a-file')
    const refused = await lab.run('ct', 'disk', 'add', NAME, '--size', '16MiB', '--mount', '/a-file', '--replicas', '1')
    assert.match(refused.stderr, /cannot be mounted on \/a-file: .*Not a directory/)
    await told('rm /a-file')
    await lab.until('it is mounted once that is out of the way', async () =>
      /a-file/.test((await exec('cat /proc/mounts')).stdout),
    )
    await lab.must('ct', 'disk', 'remove', NAME, 'disk2', '--delete')
    await runsOn()
  })

  test('a disk in use stays, with the reason, and goes once it is not', async () => {
    await told('(cd /srv/data/deep; exec sleep 1000) >/dev/null 2>&1 & echo $! > /sleeper')
    const refused = await lab.run('ct', 'disk', 'remove', NAME, 'disk1')
    assert.match(refused.stderr, /a process in the container uses it/)
    assert.equal(await told('cat /srv/data/deep/file'), 'kept')
    await told('kill $(cat /sleeper)')
    await lab.until('it has gone', async () => !(await disks()).includes('disk1'))
    assert.doesNotMatch(await told('cat /proc/mounts'), /deep/)
    await runsOn()
  })

  test('one whose file is open behind a mount that the container took away itself is not torn from it', async () => {
    const kept = (await lab.volumes()).find(({ attachment }) => attachment === 'detached')
    await lab.must('ct', 'disk', 'add', NAME, '--volume', kept?.id ?? '', '--mount', '/back')
    assert.equal(await told('cat /back/file'), 'kept')
    const hold = 'exec 3>>/back/file; umount -l /back; while [ ! -e /let-go ]; do usleep 100000; done; echo late >&3'
    await told(`(${hold}) >/dev/null 2>&1 & usleep 300000`)
    const refused = await lab.run('ct', 'disk', 'remove', NAME, 'disk1')
    assert.match(refused.stderr, /a process in the container uses it/)
    await told('touch /let-go')
    await lab.until('it has gone', async () => !(await disks()).includes('disk1'))
    await lab.must('ct', 'disk', 'add', NAME, '--volume', kept?.id ?? '', '--mount', '/back')
    assert.equal(await told('cat /back/file'), 'kept\nlate')
    await runsOn()
  })

  test('its agent dies while disks come and go: the next one finishes, and the container runs on', async () => {
    for (const afterMs of [0, 60, 150, 300]) {
      const before = await disks()
      const done = before.includes('disk2')
        ? lab.run('ct', 'disk', 'remove', NAME, 'disk2', '--delete', '--no-wait')
        : lab.run('ct', 'disk', 'add', NAME, '--size', '16MiB', '--mount', '/later', '--replicas', '1', '--no-wait')
      await new Promise((resolve) => setTimeout(resolve, 800 + afterMs))
      const host = await home()
      await replaced(lab, host, 'agent', await signal(lab, host, 'agent'))
      await done
      await lab.until(`${host} is online`, () => isOnline(host))
      await lab.until('it is as was asked', async () => (await disks()).includes('disk2') !== before.includes('disk2'))
      await lab.until('inside too', async () => {
        const isThere = / \/later /.test((await exec('cat /proc/mounts')).stdout)
        return isThere !== before.includes('disk2')
      })
      await runsOn()
    }
  })

  test('addresses change at once, and what is not its own is not heard', async () => {
    await lab.must('ct', 'nic', 'address', NAME, '0', '--address', `${FIRST}/16`, '--address', `${SECOND}/16`)
    for (const address of [FIRST, SECOND]) await lab.until(`${address} answers`, () => answers(address))
    await lab.must('ct', 'set', NAME, '--address', `${SECOND}/16`, '--gateway', '10.66.0.1')
    await lab.until('the second answers', () => answers(SECOND))
    assert.equal(await answers(FIRST), false)
    assert.match(await told('ip route'), /default via 10\.66\.0\.1 dev eth0/)
    await told(`ip address add ${FIRST}/16 dev eth0`)
    assert.equal(await answers(FIRST), false, 'an address that it took itself')
    await lab.createContainer('other', ['--replicas', '1'])
    const taken = await lab.run('ct', 'nic', 'address', 'other', '0', '--address', `${SECOND}/16`)
    assert.match(taken.stderr, /10\.66\.210\.12 is an address of web/)
    await lab.must('ct', 'stop', 'other', '--force')
    await lab.must('ct', 'delete', 'other')
    await runsOn()
  })

  test('its name and its name servers change at once; that it may nest is said to wait', async () => {
    const search = ['--nameserver', '10.66.0.53', '--search', 'example.org']
    await lab.must('ct', 'set', NAME, '--hostname', 'shop', ...search, '--nesting')
    await lab.until('it has its new name', async () => (await told('hostname')) === 'shop')
    assert.equal(await told('cat /etc/hostname /etc/resolv.conf'), 'shop\nsearch example.org\nnameserver 10.66.0.53')
    await lab.until('it is told what waits', async () =>
      (await lab.guest(NAME)).pending.some(({ what, why }) => what === 'nesting' && /next start/.test(why)),
    )
    await lab.must('ct', 'set', NAME, '--no-nesting')
    await lab.until('nothing waits any more', async () => (await lab.guest(NAME)).pending.length === 0)
    await runsOn()
  })

  test('a network card comes with its addresses, is held to them and its limits, and goes', async () => {
    await lab.must('ct', 'nic', 'add', NAME, '--address', `${OTHER_CARD}/16`, '--receive', '1MiB')
    assert.match(await told('ip address show dev eth1'), /10\.66\.210\.13\/16/)
    await lab.must('ct', 'nic', 'address', NAME, '0')
    await lab.until('it answers by the new card', () => answers(OTHER_CARD))
    const port = `st${id.slice(0, 8)}1`
    const shaped = await lab.must('lab', 'exec', await home(), '--', 'tc', 'class', 'show', 'dev', port)
    assert.match(shaped, /rate 8388Kbit/)
    await lab.must('ct', 'nic', 'address', NAME, '0', '--address', `${FIRST}/16`)
    await runsOn()
  })

  test('after the loss of its host it has the same disks, cards and addresses elsewhere', async () => {
    const before = await disks()
    await lab.must('lab', 'power-off', await home())
    await lab.until('it runs again', async () => {
      const now = await lab.guest(NAME)
      return now.state === 'running' && (now.epoch ?? 0) > epoch
    })
    epoch = (await lab.guest(NAME)).epoch ?? 0
    assert.deepEqual(await disks(), before)
    assert.equal(await told('cat /back/file'), 'kept\nlate')
    assert.match(await told('ip address show dev eth1'), /10\.66\.210\.13\/16/)
    await lab.must('ct', 'nic', 'remove', NAME, '1')
    assert.doesNotMatch(await told('ip link'), /eth1/)
    await runsOn()
  })
})
