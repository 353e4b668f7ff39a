/** A running guest with a mirrored disk, and what must hold when one of its replicas is harmed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventWatch, qemuOf, replaced, signal } from './fault-watch.ts'
import type { LabCluster } from './lab-cluster.ts'

export class MirroredGuest {
  readonly lab: LabCluster
  /** Its name; it runs on h1. */
  readonly guest: string
  readonly volume: string
  /** The host of the replica that is not on h1. */
  readonly remote: string

  private constructor(lab: LabCluster, guest: string, volume: string, remote: string) {
    this.lab = lab
    this.guest = guest
    this.volume = volume
    this.remote = remote
  }

  /** Creates the guest on h1 and waits until it has written, its replicas reached by the networks meant for them. */
  static async create(lab: LabCluster, guest: string): Promise<MirroredGuest> {
    await lab.createRecorder(guest, { host: 'h1' })
    await lab.recordsPast(guest, 20)
    await lab.untilProtected(guest)
    await lab.until('no leg takes another network', async () =>
      (await lab.guest(guest)).volumes.every(({ replicas }) => replicas.every((each) => each.redirected === undefined)),
    )
    const [disk] = (await lab.guest(guest)).volumes
    const remote = disk?.replicas.find((replica) => replica.host !== 'h1')?.host
    assert(disk && remote !== undefined)
    return new MirroredGuest(lab, guest, disk.id, remote)
  }

  /** Breaks a replica while the guest runs, repairs it, and checks that the guest noticed nothing. */
  async survives(
    host: string,
    harm: () => Promise<unknown>,
    repair: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<EventWatch> {
    const { lab, guest } = this
    const { epoch } = await lab.guest(guest)
    const pid = qemuOf(lab, guest)
    const watch = await EventWatch.begin(lab)
    await harm()
    const stale = await watch.until('replica.stale', { host })
    const pauseMs = stale.details?.['pauseMs']
    assert(typeof pauseMs === 'number' && pauseMs >= 0, 'the pause is told')
    await lab.recordsPast(guest, (await lab.acknowledged(guest)) + 10)
    await repair()
    await lab.untilProtected(guest)
    const resync = await watch.until('resync.finished', { host })
    assert.equal(resync.details?.['compared'], false, "the survivor's bitmap tells what is missing")
    assert(
      Number(resync.details['copiedBytes']) < (96 << 20) / 8,
      `${String(resync.details['copiedBytes'])} bytes were copied`,
    )
    await lab.recordsPast(guest, (await lab.acknowledged(guest)) + 5)
    await lab.assertNothingLost(guest)
    assert.equal((await lab.guest(guest)).epoch, epoch)
    assert.equal(qemuOf(lab, guest), pid)
    return watch
  }
}

/** What every cluster with two replicas must survive. The subject is there once the suite's `before` has run. */
export function testReplicaLoss(subject: () => MirroredGuest): void {
  test('the storage network of a replica is cut: its leg goes by another one, and the replica stays in sync', async () => {
    const { lab, guest, volume, remote } = subject()
    const pid = qemuOf(lab, guest)
    const watch = await EventWatch.begin(lab)
    await lab.must('lab', 'cut', remote, 'san')
    const redirected = await watch.until('leg.redirected', { host: remote })
    assert.equal(redirected.details?.['network'], 'ran')
    await lab.recordsPast(guest, (await lab.acknowledged(guest)) + 10)
    await lab.until('it is told', async () => /reached by the RAN/.test(await lab.must('volume', 'show', volume)))
    assert.match(await lab.must('vm', 'show', guest), /reached by the RAN/)
    await lab.must('lab', 'mend', remote, 'san')
    await watch.until('leg.direct', { host: remote })
    await lab.recordsPast(guest, (await lab.acknowledged(guest)) + 10)
    await watch.assertNone('replica.stale')
    await watch.assertNone('host.lost')
    await lab.assertNothingLost(guest)
    assert.equal(qemuOf(lab, guest), pid)
  })

  test('its storage daemon is killed while a leg goes by another network: that replica is stale, and comes back', async () => {
    const { lab, remote } = subject()
    await subject().survives(
      remote,
      async () => {
        const watch = await EventWatch.begin(lab)
        await lab.must('lab', 'cut', remote, 'san')
        await watch.until('leg.redirected', { host: remote })
        await signal(lab, remote, 'qsd')
      },
      () => lab.must('lab', 'mend', remote, 'san'),
    )
  })

  test("a replica's storage daemon is killed: the guest goes on, and only what changed is copied", async () => {
    await subject().survives(subject().remote, () => signal(subject().lab, subject().remote, 'qsd'))
  })

  test('a storage daemon freezes: it is noticed, replaced, and brought up to date', async () => {
    let frozen: readonly number[] = []
    await subject().survives(
      subject().remote,
      async () => (frozen = await signal(subject().lab, subject().remote, 'qsd', 'STOP')),
    )
    await replaced(subject().lab, subject().remote, 'qsd', frozen)
    assert(
      frozen.every((pid) => !subject().lab.processes().includes(pid)),
      'the frozen daemon is gone: it can write nothing late',
    )
  })

  test("a replica's whole host freezes and wakes up: its late writes count for nothing", async () => {
    const watch = await EventWatch.begin(subject().lab)
    await subject().survives(
      subject().remote,
      () => subject().lab.must('lab', 'freeze', subject().remote),
      async () => {
        await watch.until('host.lost')
        await subject().lab.must('lab', 'thaw', subject().remote)
      },
    )
    await watch.until('host.online')
  })

  test('the local replica is lost: the guest goes on from the remote one', async () => {
    await subject().survives('h1', () => signal(subject().lab, 'h1', 'qsd'))
  })
}
