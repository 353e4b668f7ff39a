/**
 * Faults at the moment in which a live move is decided. Which side of the transaction they hit is chance, and so is how
 * much of the guest's state has been sent: afterwards it runs exactly once, and has every record that it was told is safe.
 */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { acknowledgedOn } from './support/fault-watch.ts'
import { HandoverMoment } from './support/handover-moment.ts'
import { InstantFaults } from './support/instant-faults.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUEST = 'demo'
/** Longer than any call to the store waits, shorter than what the hosts' leases bear. */
const FROZEN_MS = 1_000

suite('a live move at the moment of its hand-over', { timeout: 900_000 }, () => {
  let lab: LabCluster
  let faults: InstantFaults
  before(async () => {
    lab = await LabCluster.up({ hosts: 3 })
    faults = new InstantFaults(lab)
    await lab.createRecorder(GUEST, { host: 'h1', intervalMs: 10 })
    await lab.recordsPast(GUEST, 20)
  })
  after(() => lab?.down())

  interface Move {
    readonly from: string
    readonly to: string
  }

  /** Breaks something as soon as the transaction is seen, then waits until the guest runs once and writes again. */
  const atHandover = async (
    fault: (move: Move) => Promise<unknown> | void,
    repair?: (move: Move) => Promise<unknown>,
  ) => {
    await lab.untilProtected(GUEST)
    const { id, host, epoch } = await lab.guest(GUEST)
    const from = host ?? ''
    const to = from === 'h1' ? 'h2' : 'h1'
    const moment = await HandoverMoment.watch(lab, 'h3', id, epoch)
    try {
      await lab.must('vm', 'migrate', GUEST, '--to', to, '--no-wait')
      await moment.come
      await fault({ from, to })
    } finally {
      moment.end()
    }
    // What it was told stands on the console of either host, whether that host lives or not.
    const told = Math.max(...[from, to].map((host) => acknowledgedOn(lab, host, id)))
    await repair?.({ from, to })
    await lab.until('it runs once, and stands nowhere else', async () => {
      const { state, migration, ...guest } = await lab.guest(GUEST)
      return state === 'running' && migration === null && guest.epoch > epoch && lab.qemuProcesses(GUEST).length === 1
    })
    await lab.untilProtected(GUEST)
    const now = await lab.guest(GUEST)
    await lab.recordsPast(GUEST, told + 5)
    await lab.assertNothingLost(GUEST)
    for (const { id: volume, replicas } of now.volumes)
      for (const { host } of replicas)
        assert.deepEqual((await lab.missingRecords(volume, host, told)).missing, [], `records are missing on ${host}`)
    console.log(`    from ${from} to ${to} at ${epoch + 1}: runs on ${now.host} at epoch ${now.epoch}`)
  }

  test("the destination's hypervisor is killed", () => atHandover(({ to }) => faults.signal(to, 'qemu')))
  test("the source's hypervisor is killed", () => atHandover(({ from }) => faults.signal(from, 'qemu')))
  test("the destination's agent is killed", () => atHandover(({ to }) => faults.signal(to, 'agent')))
  test("the source's agent is killed", () => atHandover(({ from }) => faults.signal(from, 'agent')))

  test('the two hosts no longer hear each other', () =>
    atHandover(
      ({ from, to }) => faults.cutBetween(from, to),
      async ({ from, to }) => {
        await sleep(3_000)
        await lab.must('lab', 'mend', from)
        await lab.must('lab', 'mend', to)
      },
    ))

  test('the store stands still', () =>
    atHandover(async () => {
      for (const host of faults.hosts) faults.signal(host, 'etcd', 'SIGSTOP')
      await sleep(FROZEN_MS)
      for (const host of faults.hosts) faults.signal(host, 'etcd', 'SIGCONT')
    }))

  test('the destination loses its power', () =>
    atHandover(
      ({ to }) => faults.powerOff(to),
      async ({ to }) => {
        await lab.until('it runs elsewhere', async () => {
          const { state, host } = await lab.guest(GUEST)
          return state === 'running' && host !== to
        })
        await lab.must('lab', 'power-on', to)
      },
    ))

  test('the source loses its power', () =>
    atHandover(
      ({ from }) => faults.powerOff(from),
      async ({ from }) => {
        await lab.until('it runs elsewhere', async () => {
          const { state, host } = await lab.guest(GUEST)
          return state === 'running' && host !== from
        })
        await lab.must('lab', 'power-on', from)
      },
    ))

  test('after all of this the replicas are equal', async () => {
    await lab.must('vm', 'stop', GUEST)
    await sleep(200)
    await lab.assertReplicasEqual(GUEST)
  })
})
