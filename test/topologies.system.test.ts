/** Clusters of other shapes than three hosts: alone, a pair that nobody arbitrates, a pair with a witness, five. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import type { GuestView } from '@stead/api/views.ts'
import { LabCluster } from './support/lab-cluster.ts'

const TIMEOUT = { timeout: 300_000 }

suite('one host', TIMEOUT, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.up({ hosts: 1 })))
  after(() => lab.down())

  test('a guest gets the one replica that is possible, and everything says that it is unprotected', async () => {
    const created = await lab.createRecorder('demo')
    assert.match(created.stderr, /^warning: demo is unprotected: no second host could hold the other of 2 replicas/m)
    await lab.recordsPast('demo', 5)
    const guest = await lab.guest('demo')
    assert.deepEqual(
      guest.volumes.map((volume) => volume.replicas.map((replica) => replica.host)),
      [['h1']],
    )
    assert.deepEqual(guest.protection, { level: 'unprotected', reason: 'one copy only, on h1' })
    assert.match(await lab.must('vm', 'show', 'demo'), /^protection: +unprotected: one copy only, on h1$/m)
    assert.match(await lab.must('vm', 'list'), /^demo .* unprotected .*one copy only, on h1$/m)
    const listed = await lab.run('host', 'list')
    for (const text of [listed.stderr, await lab.must('cluster', 'show')]) {
      assert.match(text, /^warning: One host only: .*unprotected/m)
      assert.match(text, /^warning: demo is unprotected: one copy only, on h1$/m)
    }
  })

  test('its power comes back, and so does the guest with every record', async () => {
    const seen = await lab.recordsPast('demo', 20)
    await lab.must('lab', 'power-off', 'h1')
    await lab.must('lab', 'power-on', 'h1')
    assert((await lab.recordsPast('demo', seen + 5)) > seen)
    const { epoch, host } = await lab.guest('demo')
    assert.deepEqual([epoch, host], [2, 'h1'])
    await lab.assertNothingLost('demo')
  })
})

suite('two hosts without a witness', TIMEOUT, () => {
  let lab: LabCluster
  let seen = 0
  before(async () => (lab = await LabCluster.up({ hosts: 2 })))
  after(() => lab.down())

  test('a living host cannot be declared dead', async () => {
    await lab.createRecorder('one', { host: 'h1' })
    await lab.createRecorder('two', { host: 'h2' })
    await lab.recordsPast('one', 10)
    await lab.recordsPast('two', 10)
    const refused = await lab.run('failover', '--confirm-dead', 'h1')
    assert.equal(refused.code, 5, refused.stderr)
    assert.match(refused.stderr, /h1 is .*alive.*\nhint: /s)
  })

  test('one host dies: nothing moves, and what can be seen from the other one is told', async () => {
    await lab.must('lab', 'power-off', 'h1')
    // Its leg on h1 is dead, and that could not be recorded: the guest on h2 stands still rather than go on alone.
    await lab.until('guest two is seen to stand still, and why', async () => {
      const two = await lab.guest('two')
      return (
        two.state === 'paused' &&
        two.epoch === 1 &&
        /the replica on h1 failed: .*store, which has no majority/.test(two.reason)
      )
    })
    const h1 = (await lab.hosts()).find((host) => host.name === 'h1')
    assert.equal(h1?.state, 'suspected')
    assert.match((await lab.run('host', 'list')).stderr, /warning: .*no automatic failover.*--confirm-dead/)
    assert.deepEqual(pick(await lab.guest('one')), { host: 'h1', epoch: 1 })
    assert.deepEqual(lab.qemuProcesses('one'), [])
    assert.equal(lab.qemuProcesses('two').length, 1)
    const refused = await lab.run('vm', 'stop', 'two')
    assert.equal(refused.code, 8, refused.stderr)
    assert.match(refused.stderr, /^hint: /m)
  })

  test('the administrator confirms the death: its guest runs on the other host, the paused one goes on', async () => {
    seen = await lab.acknowledged('two')
    await lab.must('failover', '--confirm-dead', 'h1')
    await lab.recordsPast('two', seen + 5)
    await lab.until('guest one runs on h2', async () => (await lab.guest('one')).state === 'running')
    const one = await lab.recordsPast('one', 10)
    assert.deepEqual(pick(await lab.guest('one')), { host: 'h2', epoch: 2 })
    assert((await lab.guest('two')).epoch === 1 && one > 10)
    await lab.assertNothingLost('one')
    await lab.assertNothingLost('two')
  })

  test('the host returns: its store joins again and votes, and everything is protected', async () => {
    await lab.must('lab', 'power-on', 'h1')
    await lab.until('both members of the store vote', async () => {
      const members = await membersOf(lab, 'h2')
      return members.length === 2 && members.every((member) => member.name !== '' && !member.isLearner)
    })
    await lab.untilProtected('one')
    await lab.untilProtected('two')
    await lab.recordsPast('one', await lab.acknowledged('one'))
    await lab.assertNothingLost('one')
    await lab.assertNothingLost('two')
    assert((await lab.hosts()).every((host) => host.state === 'online'))
  })
})

suite('two hosts and a witness', TIMEOUT, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.up({ hosts: 2, witness: true })))
  after(() => lab.down())

  test('losing the witness changes nothing for guests', async () => {
    await lab.createRecorder('demo', { host: 'h1' })
    const seen = await lab.recordsPast('demo', 10)
    await lab.must('lab', 'power-off', 'witness')
    await lab.until('the witness is lost', async () => (await stateOf(lab, 'witness')) === 'lost')
    await lab.recordsPast('demo', seen + 20)
    const guest = await lab.guest('demo')
    assert.deepEqual(pick(guest), { host: 'h1', epoch: 1 })
    assert.equal(guest.protection.level, 'protected')
    await lab.must('lab', 'power-on', 'witness')
    await lab.until('the witness is back', async () => (await stateOf(lab, 'witness')) === 'online')
  })

  test('losing h2 then works as well: the guest goes on, degraded, and is protected again afterwards', async () => {
    const seen = await lab.acknowledged('demo')
    await lab.must('lab', 'power-off', 'h2')
    await lab.recordsPast('demo', seen + 20)
    await lab.until('the guest is degraded', async () => (await lab.guest('demo')).protection.level === 'degraded')
    assert.deepEqual(pick(await lab.guest('demo')), { host: 'h1', epoch: 1 })
    await lab.must('lab', 'power-on', 'h2')
    await lab.untilProtected('demo')
    await lab.assertNothingLost('demo')
  })
})

suite('five hosts', TIMEOUT, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.up({ hosts: 5 })))
  after(() => lab.down())

  test("the coordinator's host and the store leader's host fall at once: the guest survives", async () => {
    const coordinator = (await lab.json<ClusterView>('cluster', 'show')).coordinator
    assert(coordinator)
    await lab.createRecorder('demo', { host: coordinator })
    const seen = await lab.recordsPast('demo', 10)
    // The guest's other replica must stay, or the guest would rightly wait.
    const other = (await lab.guest('demo')).volumes[0]?.replicas.find((replica) => replica.host !== coordinator)?.host
    const leader = await moveLeaderOff(lab, ['h1', 'h2', 'h3', 'h4', 'h5'], [coordinator, other ?? ''])
    await Promise.all([lab.must('lab', 'power-off', coordinator), lab.must('lab', 'power-off', leader)])
    await lab.recordsPast('demo', seen + 10)
    const guest = await lab.guest('demo')
    assert.deepEqual(pick(guest), { host: other, epoch: 2 })
    const coordinating = (await lab.json<ClusterView>('cluster', 'show')).coordinator
    assert(coordinating !== coordinator && coordinating !== leader)
    await lab.assertNothingLost('demo')
    await lab.must('lab', 'power-on', coordinator)
    await lab.must('lab', 'power-on', leader)
    await lab.untilProtected('demo')
    await lab.assertNothingLost('demo')
  })
})

function pick({ host, epoch }: GuestView): { host: string | null; epoch: number } {
  return { host, epoch }
}

async function stateOf(lab: LabCluster, name: string): Promise<string | undefined> {
  return (await lab.hosts()).find((host) => host.name === name)?.state
}

interface StoreMember {
  readonly ID: number
  readonly name: string
  readonly isLearner?: boolean
}

async function membersOf(lab: LabCluster, host: string): Promise<StoreMember[]> {
  const listed = await etcdctl(lab, host, 'member', 'list', '-w', 'json')
  return (parseWithBigIds(listed) as { members: StoreMember[] }).members
}

/** The host of the store's leader, after the leadership was moved if it was on one of the `excluded`. */
async function moveLeaderOff(lab: LabCluster, hosts: readonly string[], excluded: readonly string[]): Promise<string> {
  const statuses = new Map<string, { id: string; leads: boolean }>()
  for (const host of hosts) {
    const text = await etcdctl(lab, host, 'endpoint', 'status', '-w', 'json')
    const [{ Status: status } = { Status: undefined }] = parseWithBigIds(text) as {
      Status?: { header: { member_id: string }; leader: string }
    }[]
    if (status)
      statuses.set(host, {
        id: String(status.header.member_id),
        leads: String(status.header.member_id) === String(status.leader),
      })
  }
  const leader = [...statuses].find(([, status]) => status.leads)?.[0]
  assert(leader, `no member leads: ${JSON.stringify([...statuses])}`)
  if (!excluded.includes(leader)) return leader
  const next = hosts.find((host) => !excluded.includes(host)) ?? ''
  await etcdctl(lab, leader, 'move-leader', BigInt(statuses.get(next)?.id ?? 0).toString(16))
  return next
}

async function etcdctl(lab: LabCluster, host: string, ...args: readonly string[]): Promise<string> {
  const answer = await lab.etcdctl(host, ...args)
  assert.equal(answer.code, 0, answer.stderr)
  return answer.stdout
}

/** The ids have 64 bits, more than a JavaScript number holds. */
function parseWithBigIds(text: string): unknown {
  return JSON.parse(text.replace(/("(?:member_id|leader|ID|cluster_id)":)(\d+)/g, '$1"$2"'))
}
