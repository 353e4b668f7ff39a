/**
 * Post-copy with real hypervisors: the guest goes on at the destination before all of its memory is there. Whatever is lost
 * then, it runs once afterwards and has every record that it was told is safe; where both halves live, without a boot.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { acknowledgedOn } from './support/fault-watch.ts'
import { HandoverMoment } from './support/handover-moment.ts'
import { InstantFaults } from './support/instant-faults.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUEST = 'demo'
/** So slow that a part of the memory is still missing when the guest has gone over. */
const SLOW = '6MiB'
/** After that a guest whose other half cannot be reached is given up. */
const GIVEN_UP_MS = 20_000
const skip = existsSync('/dev/userfaultfd') ? false : 'this kernel has no /dev/userfaultfd'

suite('post-copy', { timeout: 900_000, skip }, () => {
  let lab: LabCluster
  let faults: InstantFaults
  before(async () => {
    lab = await LabCluster.up({ hosts: 3 })
    faults = new InstantFaults(lab)
    await lab.createRecorder(GUEST, { host: 'h1', intervalMs: 10, changingMiB: 24 })
    await lab.must('policy', 'set', '--migration-bandwidth', SLOW)
    await lab.recordsPast(GUEST, 20)
  })
  after(() => lab?.down())

  interface Move {
    readonly from: string
    readonly to: string
    readonly epoch: number
  }

  /** Moves it, breaks something once it runs there with memory missing, and waits until it runs once and writes. */
  const halfThere = async (fault: (move: Move) => Promise<unknown> | void, boots: 'boots' | 'goes on' | 'either') => {
    await lab.untilProtected(GUEST)
    const { id, host, epoch } = await lab.guest(GUEST)
    const from = host ?? ''
    const move = { from, to: from === 'h1' ? 'h2' : 'h1', epoch }
    const moment = await HandoverMoment.watch(lab, 'h3', id, epoch)
    try {
      await lab.must('vm', 'migrate', GUEST, '--to', move.to, '--post-copy', '--no-wait')
      await moment.come
    } finally {
      moment.end()
    }
    await lab.until('it runs on both', async () => (await lab.guest(GUEST)).reason.includes('the rest of its memory'))
    await fault(move)
    const told = Math.max(...[from, move.to].map((each) => acknowledgedOn(lab, each, id)))
    await lab.until('it runs once, and is whole', async () => {
      const { state, migration, reason } = await lab.guest(GUEST)
      const isWhole = state === 'running' && migration === null && reason === ''
      return isWhole && lab.qemuProcesses(GUEST).length === 1
    })
    await lab.untilProtected(GUEST)
    const now = await lab.guest(GUEST)
    if (boots !== 'either') assert.equal(now.epoch > epoch + 1, boots === 'boots', `epoch ${now.epoch} after ${epoch}`)
    if (boots === 'goes on') assert.equal(now.host, move.to)
    await lab.recordsPast(GUEST, told + 5)
    await lab.assertNothingLost(GUEST)
    console.log(`    from ${from} to ${move.to} at ${epoch + 1}: runs on ${now.host} at epoch ${now.epoch}`)
  }

  test('the rest of the memory follows, and no boot', () => halfThere(() => undefined, 'goes on'))
  test("the source's agent is killed", () => halfThere(({ from }) => faults.signal(from, 'agent'), 'goes on'))
  test("the destination's agent is killed", () => halfThere(({ to }) => faults.signal(to, 'agent'), 'goes on'))
  test("the source's hypervisor is killed", () => halfThere(({ from }) => faults.signal(from, 'qemu'), 'either'))
  test("the destination's hypervisor is killed", () => halfThere(({ to }) => faults.signal(to, 'qemu'), 'boots'))

  test('the two hosts do not hear each other for a while', () =>
    halfThere(async ({ from, to }) => {
      await faults.cutBetween(from, to)
      await sleep(GIVEN_UP_MS / 4)
      await lab.must('lab', 'mend', from)
      await lab.must('lab', 'mend', to)
    }, 'either'))

  test('the source loses its power', () =>
    halfThere(async ({ from }) => {
      await faults.powerOff(from)
      await lab.until('it runs', async () => (await lab.guest(GUEST)).state === 'running')
      await lab.must('lab', 'power-on', from)
    }, 'either'))
})
