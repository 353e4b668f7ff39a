/** A guest moves while it runs: nobody who talks to it notices, and whatever fails on the way, it runs exactly once. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { talkCommand, TalkSession } from '@stead/lab/talk-session.ts'
import { LabCluster, STEAD } from './support/lab-cluster.ts'

const ADDRESS = '10.66.0.200'
/** So slow that there is time to break something while the memory is on its way. */
const SLOW = '6MiB'

suite('live migration on three hosts', { timeout: 900_000 }, () => {
  let lab: LabCluster
  before(async () => {
    lab = await LabCluster.up({ hosts: 3 })
    await lab.createTalker('demo', `${ADDRESS}/16`, { host: 'h1' })
    await lab.recordsPast('demo', 20)
  })
  after(() => lab.down())

  const hostOf = async () => (await lab.guest('demo')).host ?? ''
  const otherThan = (host: string) => (host === 'h1' ? 'h2' : 'h1')

  /** Exactly one hypervisor, it is where the cluster says, it goes on writing, and no record is missing. */
  const assertSound = async (host?: string) => {
    await lab.until('it runs once, and stands nowhere else', async () => {
      const { state, migration } = await lab.guest('demo')
      return state === 'running' && migration === null && lab.qemuProcesses('demo').length === 1
    })
    const guest = await lab.guest('demo')
    if (host !== undefined) assert.equal(guest.host, host)
    await lab.recordsPast('demo', await lab.acknowledged('demo'))
    await lab.assertNothingLost('demo')
  }

  test('a TCP session lives through moves to every host and back', async () => {
    let session: TalkSession | undefined
    await lab.until('the guest answers', async () => {
      session = await TalkSession.open(lab.spawn(STEAD, ['lab', 'client', '--', ...talkCommand(ADDRESS)], 'pipe'))
      return session !== undefined
    })
    assert(session)
    for (const to of ['h2', 'h3', 'h1']) {
      await lab.must('vm', 'migrate', 'demo', '--to', to)
      assert.equal(await hostOf(), to)
    }
    const { sent, echoed, gapMs } = await session.close()
    assert.equal(echoed, sent, 'the session lost bytes')
    assert(sent > 100)
    console.log(`    ${sent} messages there and back, the longest silence ${Math.round(gapMs)} ms`)
    await assertSound('h1')
    const moved = (await lab.events()).filter((event) => event.kind === 'guest.migrated')
    assert.equal(moved.length, 3)
    assert.equal((await lab.guest('demo')).epoch, 4)
  })

  test('a host that is drained gives its guest away without a break', async () => {
    const { epoch } = await lab.guest('demo')
    await lab.must('host', 'drain', 'h1')
    await assertSound()
    assert.notEqual(await hostOf(), 'h1')
    assert.equal((await lab.guest('demo')).epoch, epoch + 1)
    const said = await lab.console('demo')
    assert.equal(said.match(/GUEST ready/g)?.length, 1, 'it was booted once, and its console came along')
    await lab.must('host', 'undrain', 'h1')
  })

  test('a replica is lost after the move: the guest goes on, and it is brought back', async () => {
    const { epoch } = await lab.guest('demo')
    await lab.must('lab', 'kill', 'h1', 'qsd')
    await lab.until('the loss is recorded', async () =>
      (await lab.events()).some((event) => event.kind === 'replica.stale' && event.details?.['host'] === 'h1'),
    )
    await lab.untilProtected('demo')
    assert.equal((await lab.guest('demo')).epoch, epoch, 'it was not started again')
    await assertSound()
  })

  test('a move that cannot be made is refused before anything moves', async () => {
    const from = await hostOf()
    const nowhere = await lab.run('vm', 'migrate', 'demo', '--to', 'h9')
    assert.notEqual(nowhere.code, 0)
    const there = await lab.run('vm', 'migrate', 'demo', '--to', from)
    assert.match(there.stderr, /already/)
    await lab.must('host', 'drain', otherThan(from))
    const drained = await lab.run('vm', 'migrate', 'demo', '--to', otherThan(from))
    assert.match(drained.stderr, /maintenance/)
    await lab.must('host', 'undrain', otherThan(from))
    assert.equal(await hostOf(), from)
  })

  /** Begins a slow move and breaks something once part of the memory is there. */
  const whileCopying = async (fault: (from: string, to: string) => Promise<void>) => {
    await lab.untilProtected('demo')
    await lab.must('policy', 'set', '--migration-bandwidth', SLOW)
    const from = await hostOf()
    const to = otherThan(from)
    await lab.must('vm', 'migrate', 'demo', '--to', to, '--no-wait')
    await lab.until('some of its memory is there', async () => {
      return ((await lab.guest('demo')).migration?.transferredBytes ?? 0) > 0
    })
    await fault(from, to)
    await lab.until('the move is over', async () => (await lab.guest('demo')).migration === null)
    await lab.must('policy', 'set', '--migration-bandwidth', '0')
    return { from, to }
  }

  test('called off by the user: it goes on where it was', async () => {
    const { from } = await whileCopying(async () => void (await lab.must('vm', 'migrate', 'demo', '--cancel')))
    await assertSound(from)
  })

  test('the hypervisor at the destination is killed: it goes on where it was', async () => {
    const { from } = await whileCopying(async (_, to) => void (await lab.must('lab', 'kill', to, 'qemu')))
    await assertSound(from)
    const failed = (await lab.events()).findLast((event) => event.kind === 'guest.migration-failed')
    assert.match(failed?.message ?? '', /goes on on/)
  })

  test("the destination's agent is killed: it goes on where it was", async () => {
    const { from } = await whileCopying(async (_, to) => void (await lab.must('lab', 'kill', to, 'agent')))
    await assertSound(from)
  })

  test("the source's agent is killed: it goes on where it was", async () => {
    const { from } = await whileCopying(async (from) => void (await lab.must('lab', 'kill', from, 'agent')))
    await assertSound(from)
  })

  test('the two hosts no longer hear each other: it goes on, and every record is kept', async () => {
    const { from, to } = await whileCopying(async (from, to) => void (await lab.must('lab', 'cut-between', from, to)))
    await lab.until('it runs', async () => (await lab.guest('demo')).state === 'running')
    await lab.must('lab', 'mend', from)
    await lab.must('lab', 'mend', to)
    await lab.untilProtected('demo')
    await assertSound()
  })

  test('the destination loses its power: it goes on where it was', async () => {
    const { from, to } = await whileCopying(async (_, to) => void (await lab.must('lab', 'power-off', to)))
    await assertSound(from)
    await lab.must('lab', 'power-on', to)
    await lab.untilProtected('demo')
  })

  test('the source loses its power: it boots elsewhere with every record', async () => {
    const { from } = await whileCopying(async (from) => void (await lab.must('lab', 'power-off', from)))
    await lab.until('it runs elsewhere', async () => {
      const guest = await lab.guest('demo')
      return guest.state === 'running' && guest.host !== from
    })
    await assertSound()
    await lab.must('lab', 'power-on', from)
    await lab.untilProtected('demo')
    await lab.assertNothingLost('demo')
  })

  test('after all of this the replicas are equal', async () => {
    await lab.must('vm', 'stop', 'demo')
    await sleep(200)
    await lab.assertReplicasEqual('demo')
  })
})
