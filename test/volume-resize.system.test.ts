/** A guest's disk is enlarged while it runs and while it is stopped; agents and hosts die on the way. */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { assertSameFiles, EventWatch, qemuOf, replaced, resumedAt, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const MIB = 2 ** 20
const RECORDER = 'rec'
const LOOKER = 'look'

/** Says how large the disk is whenever that changes, and writes its last 64 KiB each time. */
const SCRIPT = `
cd /sys/block/vda
while :; do
  now=$(cat size)
  if [ "$now" != "$seen" ]; then
    dd if=/dev/urandom of=/dev/vda bs=4096 count=16 seek=$((now / 8 - 16)) oflag=direct 2>/dev/null && echo "SIZE $now written"
  fi
  seen=$now
  usleep 100000
done
`

suite('volumes that are enlarged', { timeout: 900_000 }, () => {
  let lab: LabCluster
  let sizeMib = 96

  const volumeOf = async (name: string) => {
    const [volume] = (await lab.guest(name)).volumes
    assert(volume)
    return volume
  }
  const remoteOf = async (name: string) => {
    const host = (await volumeOf(name)).replicas.find((replica) => replica.host !== 'h1')?.host
    assert(host)
    return host
  }
  const fileBytes = (host: string, volume: string) =>
    statSync(join(lab.hostFolder(host), 'pools', 'default', `${volume}.raw`)).size
  /** Enlarges the disk by 32 MiB. Returns its new size. */
  const larger = async (name: string, ...options: string[]) => {
    sizeMib += 32
    await lab.must('volume', 'resize', (await volumeOf(name)).id, '--size', `${sizeMib}MiB`, ...options)
    return sizeMib * MIB
  }
  const goesOn = async () => {
    await lab.recordsPast(RECORDER, (await lab.acknowledged(RECORDER)) + 10)
    await lab.assertNothingLost(RECORDER)
  }
  const isGrowing = async () => (await lab.volumes()).some(({ growTo }) => growTo !== undefined)
  const untilAll = async (bytes: number) => {
    const { id, replicas } = await volumeOf(RECORDER)
    await lab.until('all replicas have the new size', async () =>
      replicas.every(({ host }) => fileBytes(host, id) === bytes),
    )
  }

  before(async () => {
    lab = await LabCluster.up()
    await lab.createRecorder(RECORDER, { host: 'h1' })
    await lab.createScripted(LOOKER, SCRIPT, { host: 'h1' })
    await lab.recordsPast(RECORDER, 20)
    await lab.untilProtected(RECORDER)
  })
  after(() => lab?.down())

  test('the guest runs: it sees the new size without a reboot and writes there, on all replicas', async () => {
    const { id, replicas } = await volumeOf(LOOKER)
    const pid = qemuOf(lab, LOOKER)
    await lab.until('it has booted', async () => /SIZE 32768 written/.test(await lab.console(LOOKER)))
    const done = await lab.must('volume', 'resize', id, '--size', '48MiB')
    assert.match(done, /has 48 MiB/)
    await lab.until('it sees it', async () => /SIZE 98304 written/.test(await lab.console(LOOKER)))
    assert.equal(qemuOf(lab, LOOKER), pid)
    for (const { host } of replicas) assert.equal(fileBytes(host, id), 48 * MIB)
    const remote = await remoteOf(LOOKER)
    const watch = await EventWatch.begin(lab)
    await signal(lab, remote, 'qsd')
    await lab.must('volume', 'resize', id, '--size', '64MiB').catch(() => undefined)
    await watch.until('resync.finished', { host: remote })
    await lab.untilProtected(LOOKER)
    await lab.must('vm', 'stop', LOOKER, '--force')
    await assertSameFiles(lab, id, ['h1', remote])
  })

  test('a guest that writes all the time loses nothing and is not restarted', async () => {
    const { epoch } = await lab.guest(RECORDER)
    const pid = qemuOf(lab, RECORDER)
    const watch = await EventWatch.begin(lab)
    for (let round = 0; round < 3; round++) {
      await untilAll(await larger(RECORDER))
      await goesOn()
    }
    assert.equal(qemuOf(lab, RECORDER), pid)
    assert.equal((await lab.guest(RECORDER)).epoch, epoch)
    await watch.assertNone('replica.stale', 'guest.failed')
  })

  test('its agent is killed at any moment of it: the next one finishes, and the guest goes on', async () => {
    const { epoch } = await lab.guest(RECORDER)
    for (const afterMs of [0, 30, 60, 90, 120, 150, 200]) {
      await lab.untilProtected(RECORDER)
      const bytes = await larger(RECORDER, '--no-wait')
      await new Promise((resolve) => setTimeout(resolve, afterMs))
      const killed = await signal(lab, 'h1', 'agent')
      await replaced(lab, 'h1', 'agent', killed)
      await untilAll(bytes)
      await goesOn()
    }
    assert.equal((await lab.guest(RECORDER)).epoch, epoch, 'it was never restarted')
    await lab.untilProtected(RECORDER)
  })

  test('the other replica is lost in the middle of it, and comes back with the new size', async () => {
    const remote = await remoteOf(RECORDER)
    const watch = await EventWatch.begin(lab)
    const bytes = await larger(RECORDER, '--no-wait')
    await lab.must('lab', 'power-off', remote)
    await watch.until('host.lost')
    await lab.must('lab', 'power-on', remote)
    await lab.until('it ended one way or the other', async () => !(await isGrowing()))
    await lab.untilProtected(RECORDER)
    if ((await volumeOf(RECORDER)).sizeBytes === bytes) await untilAll(bytes)
    else sizeMib -= 32
    await goesOn()
  })

  test('its host dies right after it: the guest starts elsewhere with the new size', async () => {
    await lab.untilProtected(RECORDER)
    const bytes = await larger(RECORDER)
    const told = await lab.acknowledged(RECORDER)
    await lab.must('lab', 'power-off', 'h1')
    await lab.until('it runs elsewhere', async () => {
      const { host, state } = await lab.guest(RECORDER)
      return state === 'running' && host !== 'h1'
    })
    assert((await resumedAt(lab, RECORDER)) >= told, 'records are missing')
    await lab.must('lab', 'power-on', 'h1')
    await lab.untilProtected(RECORDER)
    await untilAll(bytes)
    await goesOn()
  })

  test('the guest is stopped: it has the new size at its next start', async () => {
    await lab.must('vm', 'stop', RECORDER)
    const bytes = await larger(RECORDER)
    await lab.must('vm', 'start', RECORDER)
    await untilAll(bytes)
    await goesOn()
    const { id } = await volumeOf(RECORDER)
    await lab.must('vm', 'stop', RECORDER, '--force')
    await lab.untilProtected(RECORDER)
    await assertSameFiles(lab, id, ['h1', await remoteOf(RECORDER)])
  })

  test('it is rolled back to a snapshot from before: the disk keeps its size', async () => {
    await lab.must('vm', 'start', LOOKER)
    const { id } = await volumeOf(LOOKER)
    await lab.until('it has booted', async () => /SIZE \d+ written/.test(await lab.console(LOOKER)))
    await lab.must('vm', 'snapshot', 'create', LOOKER, 'small')
    await lab.must('volume', 'resize', id, '--size', '80MiB')
    await lab.until('it sees it', async () => /SIZE 163840 written/.test(await lab.console(LOOKER)))
    await lab.must('vm', 'snapshot', 'rollback', LOOKER, 'small')
    await lab.until('it runs again', async () => /^SIZE 163840 written/m.test(await lab.console(LOOKER)))
    await lab.untilProtected(LOOKER)
    const pools = (await volumeOf(LOOKER)).replicas.map(({ host }) => host)
    assert.equal(pools.length, 2)
  })

  test('what cannot be is refused, with a hint, before anything changes', async () => {
    const { id } = await volumeOf(RECORDER)
    const refused = async (size: string, why: RegExp) => {
      const { code, stderr } = await lab.run('volume', 'resize', id, '--size', size)
      assert.notEqual(code, 0)
      assert.match(stderr, why)
    }
    await refused('64MiB', /never made smaller[\s\S]*copy/)
    await refused(`${sizeMib}MiB`, /that size already/)
    await refused('5000000001', /multiple of 4096/)
    await refused('100TiB', /bytes free/)
    assert.equal(await isGrowing(), false)
    assert.equal((await volumeOf(RECORDER)).sizeBytes, sizeMib * MIB)
  })
})
