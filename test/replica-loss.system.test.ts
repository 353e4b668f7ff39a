/** A replica is killed, frozen, cut off, or all of them at once: the guest goes on or waits, and nothing is lost. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { GATE_PORT_FIRST, NBD_PORT_FIRST } from '@stead/agent/storage/storage-door.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import { acknowledgedOn, assertSameFiles, EventWatch, resumedAt, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'
import { MirroredGuest, testReplicaLoss } from './support/mirrored-guest.ts'

const MIRRORED = 'demo'
const SINGLE = 'solo'
const IDLE = 'idle'
const FRAME_PORT = join(import.meta.dirname, '../.native/bin/frame-port')

/** Where a frame with IPv4 and TCP goes to, as `frame-port` writes it. */
const tcpPortOf = (frame: string) => Number.parseInt(frame.slice(72, 76), 16)

suite('loss of replicas', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let mirrored: MirroredGuest
  /** The host of the mirrored guest's other replica, and the one that has none. */
  let remote = ''
  let bystander = ''
  let volume = ''

  before(async () => {
    lab = await LabCluster.up()
    mirrored = await MirroredGuest.create(lab, MIRRORED)
    volume = mirrored.volume
    remote = mirrored.remote
    bystander = ['h2', 'h3'].find((host) => host !== remote) ?? ''
    await lab.createRecorder(SINGLE, { replicas: 1, host: bystander })
  })
  after(() => lab?.down())

  test('what goes to the other replica cannot be read on the network between the two', async () => {
    const before = await lab.acknowledged(MIRRORED)
    // Ends with its input.
    const heard = await lab.must('lab', 'exec', remote, '--', 'sh', '-c', `sleep 3 | ${FRAME_PORT} san0`)
    const written = (await lab.acknowledged(MIRRORED)) - before
    const frames = heard.split('\n')
    const bytesTo = (port: number) => frames.filter((frame) => tcpPortOf(frame) === port).join('').length / 2
    assert(written > 0)
    // Of each frame two kilobytes at most are heard.
    assert(bytesTo(GATE_PORT_FIRST) > written * 1_024, `${bytesTo(GATE_PORT_FIRST)} bytes for ${written} records`)
    assert.equal(bytesTo(NBD_PORT_FIRST), 0)
    assert(!heard.includes(Buffer.from('STEADREC').toString('hex')), 'a record was heard')
  })

  testReplicaLoss(() => mirrored)

  test('a guest that writes nothing loses the replica whose daemon is killed and back within a moment', async () => {
    await lab.createIdle(IDLE, { host: bystander })
    const [disk] = (await lab.guest(IDLE)).volumes
    const other = disk?.replicas.find(({ host }) => host !== bystander)?.host ?? ''
    // Whether the new daemon answers before the old one is missed is chance, so it is done more than once.
    for (let round = 0; round < 3; round++) {
      await lab.untilProtected(IDLE)
      const watch = await EventWatch.begin(lab)
      await signal(lab, other, 'qsd')
      await lab.until('its loss is told', async () =>
        (await watch.all()).some(({ kind, subject }) => kind === 'replica.stale' && subject === `volume/${disk?.id}`),
      )
    }
    await lab.untilProtected(IDLE)
    await lab.must('vm', 'delete', IDLE)
    await lab.untilProtected(MIRRORED)
  })

  test('both replicas are lost at once: the guest comes back by itself with all its records', async () => {
    const { id, epoch } = await lab.guest(MIRRORED)
    const watch = await EventWatch.begin(lab)
    await Promise.all([signal(lab, 'h1', 'qsd'), signal(lab, remote, 'qsd')])
    const told = acknowledgedOn(lab, 'h1', id)
    await watch.until('guest.failed')
    await watch.until('guest.started')
    await lab.until('it runs', async () => (await lab.guest(MIRRORED)).state === 'running')
    assert((await lab.guest(MIRRORED)).epoch > epoch)
    assert((await resumedAt(lab, MIRRORED)) >= told, 'records are missing')
    await lab.untilProtected(MIRRORED)
    await lab.recordsPast(MIRRORED, told + 5)
    await lab.assertNothingLost(MIRRORED)
  })

  suite('a guest with one replica', () => {
    test('is called unprotected wherever it is shown', async () => {
      const { protection } = await lab.guest(SINGLE)
      assert.equal(protection.level, 'unprotected')
      assert.match(protection.reason, new RegExp(bystander))
      assert.match(await lab.must('vm', 'show', SINGLE), /unprotected/)
      assert.match(await lab.must('vm', 'list'), new RegExp(`${SINGLE} .*unprotected`))
      const { warnings } = await lab.json<ClusterView>('cluster', 'show')
      assert(
        warnings.some((warning) => warning.startsWith(`${SINGLE} is unprotected`)),
        warnings.join('; '),
      )
    })

    test('comes back by itself when its storage daemon is killed', async () => {
      const watch = await EventWatch.begin(lab)
      const { id } = await lab.guest(SINGLE)
      await lab.recordsPast(SINGLE, 10)
      await signal(lab, bystander, 'qsd')
      const told = acknowledgedOn(lab, bystander, id)
      await watch.until('guest.started')
      assert((await resumedAt(lab, SINGLE)) >= told)
      await lab.recordsPast(SINGLE, told + 5)
      await lab.assertNothingLost(SINGLE)
    })

    test('waits for its host, by name, and runs again with all records when the host is back', async () => {
      const { id } = await lab.guest(SINGLE)
      await lab.must('lab', 'power-off', bystander)
      const told = acknowledgedOn(lab, bystander, id)
      await lab.until('it waits', async () => {
        const { state, reason, protection } = await lab.guest(SINGLE)
        return state === 'waiting' && reason.includes(bystander) && protection.level === 'lost'
      })
      await lab.must('lab', 'power-on', bystander)
      await lab.until('it runs', async () => (await lab.guest(SINGLE)).state === 'running', 90_000)
      assert((await resumedAt(lab, SINGLE)) >= told)
      await lab.recordsPast(SINGLE, told + 5)
      await lab.assertNothingLost(SINGLE)
    })
  })

  test('a guest with its only replica on another host goes on by another network when its own is cut', async () => {
    await lab.must('host', 'drain', bystander)
    const away = (await lab.guest(SINGLE)).host ?? ''
    assert.notEqual(away, bystander)
    await lab.recordsPast(SINGLE, 1)
    // A host that has just booted may not yet be heard on the network for storage when its guest begins.
    const takes = async () => (await lab.guest(SINGLE)).volumes[0]?.replicas[0]?.redirected ?? 'san'
    const network = await takes()
    const { epoch } = await lab.guest(SINGLE)
    await lab.must('lab', 'cut', bystander, network)
    await lab.until('it goes by another network', async () => (await takes()) !== network)
    await lab.recordsPast(SINGLE, (await lab.acknowledged(SINGLE)) + 10)
    assert.equal((await lab.guest(SINGLE)).epoch, epoch)
    await lab.must('lab', 'mend', bystander, network)
    await lab.assertNothingLost(SINGLE)
    await lab.must('host', 'undrain', bystander)
  })

  suite('the only current copy is on a dead host', () => {
    let told = 0

    test('the guest waits for that host and says so; the return of the stale copy changes nothing', async () => {
      const { id } = await lab.guest(MIRRORED)
      const watch = await EventWatch.begin(lab)
      await lab.until('every host is online', async () => (await lab.hosts()).every((host) => host.state === 'online'))
      // Only between the two, so that the others still make a quorum when h1 is gone.
      await lab.must('lab', 'cut-between', remote, 'h1')
      await watch.until('replica.stale', { host: remote })
      await lab.recordsPast(MIRRORED, (await lab.acknowledged(MIRRORED)) + 20)
      await lab.must('lab', 'power-off', 'h1')
      told = acknowledgedOn(lab, 'h1', id)
      await lab.until('it waits for h1', waitsForH1)
      await lab.must('lab', 'mend', remote)
      await lab.must('lab', 'power-off', remote)
      await lab.must('lab', 'power-on', remote)
      await lab.until(
        `${remote} is back`,
        async () => (await lab.hosts()).some((host) => host.name === remote && host.state === 'online'),
        90_000,
      )
      await lab.until('it still waits for h1', waitsForH1)
      assert.deepEqual(lab.qemuProcesses(MIRRORED), [])
    })

    test('--accept-data-loss starts it from the old copy, and everybody can see that', async () => {
      const watch = await EventWatch.begin(lab)
      await lab.must('vm', 'start', MIRRORED, '--accept-data-loss')
      await watch.until('data-loss.accepted')
      await lab.until('it runs', async () => (await lab.guest(MIRRORED)).state === 'running')
      const resumed = await resumedAt(lab, MIRRORED)
      assert(resumed > 0 && resumed < told, `it went on at ${resumed}; ${told} had been acknowledged`)
      assert.match(await lab.must('explain', 'vm', MIRRORED), new RegExp(`stale copy on ${remote}`))
      await lab.recordsPast(MIRRORED, resumed + 10)
      await lab.assertNothingLost(MIRRORED)
    })

    test('the host with the given-up data comes back: it follows the accepted copy, byte by byte', async () => {
      await lab.must('lab', 'power-on', 'h1')
      await lab.untilProtected(MIRRORED)
      await lab.recordsPast(MIRRORED, (await lab.acknowledged(MIRRORED)) + 10)
      await lab.assertNothingLost(MIRRORED)
      await lab.must('vm', 'stop', MIRRORED)
      assert.deepEqual(lab.qemuProcesses(MIRRORED), [])
      await assertSameFiles(lab, volume, ['h1', remote])
    })
  })

  async function waitsForH1(): Promise<boolean> {
    const { state, reason } = await lab.guest(MIRRORED)
    return state === 'waiting' && /current copy .* is on h1,/.test(reason)
  }
})

suite('loss of replicas on a pair with a witness', { timeout: 300_000 }, () => {
  let lab: LabCluster
  let mirrored: MirroredGuest

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    mirrored = await MirroredGuest.create(lab, MIRRORED)
  })
  after(() => lab?.down())

  testReplicaLoss(() => mirrored)
})
