/** A host falls, another stands in its stead: on the smallest cluster, on the pair with a witness, on three and five. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { LabCluster, type LabOptions } from './support/lab-cluster.ts'

const TIMELINE = ['host.suspected', 'host.lost', 'grant.committed', 'export.revoked', 'guest.started'] as const

for (const [name, options] of Object.entries<LabOptions>({
  'a pair with a witness': { hosts: 2, witness: true },
  'three hosts': { hosts: 3 },
})) {
  suite(`failover: ${name}`, { timeout: 300_000 }, () => {
    let lab: LabCluster
    before(async () => (lab = await LabCluster.up(options)))
    after(() => lab.down())

    test("the guest's host, which also coordinates, loses its power: the guest runs elsewhere and no record is lost", async () => {
      await lab.createRecorder('demo', { host: 'h1' })
      const before = await lab.recordsPast('demo', 20)
      const since = (await lab.events()).at(-1)?.id
      await lab.must('lab', 'power-off', 'h1')
      const resumed = await lab.recordsPast('demo', before + 20)
      assert(resumed > before)
      const guest = await lab.guest('demo')
      assert.notEqual(guest.host, 'h1')
      assert.equal(guest.epoch, 2)
      assert.equal(guest.protection.level, 'degraded')
      const told = (await lab.events()).filter((event) => event.id > (since ?? ''))
      assertTimeline(told)
      await lab.assertNothingLost('demo')
    })

    test('the host comes back: its replica is brought up to date, and both hold every record', async () => {
      await lab.must('lab', 'power-on', 'h1')
      await lab.untilProtected('demo')
      await lab.until(
        'its member of the store serves',
        async () => (await lab.etcdctl('h1', 'endpoint', 'health')).code === 0,
      )
      const last = await lab.assertNothingLost('demo')
      assert(last > 40)
      const resync = (await lab.events()).findLast((event) => event.kind === 'resync.finished')
      assert.equal(resync?.details?.['host'], 'h1')
    })

    test('explain tells why it runs where it runs, and why not elsewhere', async () => {
      const text = await lab.must('explain', 'vm', 'demo')
      assert.match(text, /h1 is lost/)
      const explained = await lab.json<{
        decision: { action: string; candidates: { host: string; rejectedBecause: string }[] }
      }>('explain', 'vm', 'demo')
      assert.equal(explained.decision.action, 'recover')
      assert.equal(
        explained.decision.candidates.find((candidate) => candidate.host === 'h1')?.rejectedBecause,
        'it is not online',
      )
    })

    test('the witness, where there is one, runs nothing and holds no data', async () => {
      const hosts = await lab.hosts()
      for (const host of hosts) if (host.role === 'witness') assert.deepEqual([host.guests, host.pools], [[], []])
    })
  })
}

function assertTimeline(events: readonly ClusterEvent[]): void {
  let last = -Infinity
  for (const kind of TIMELINE) {
    const event = events.find((candidate) => candidate.kind === kind)
    assert(event, `${kind} is missing in ${events.map((candidate) => candidate.kind).join(', ')}`)
    assert(Number.isFinite(Date.parse(event.time)) && event.monotonicMs > 0)
    // What reveals the loss, what decides and what acts follow each other; export and start are of one host.
    if (kind !== 'export.revoked') assert(event.monotonicMs >= last, `${kind} came before its cause`)
    last = Math.max(last, event.monotonicMs)
  }
}
