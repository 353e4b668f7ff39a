import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { decide } from '../ha/coordinator.ts'
import { recordOf, replay, type DecisionRecord } from './decision-record.ts'

/** As it comes back from a file. */
function stored(record: DecisionRecord | undefined): DecisionRecord {
  assert(record)
  return JSON.parse(JSON.stringify(record)) as DecisionRecord
}

function lossOf(host: string): ClusterFixture {
  const cluster = new ClusterFixture()
  const { guest } = cluster.guestWithDisk('web', ['h2', 'h3'])
  cluster.grant(guest, 'h2', { epoch: 4 })
  cluster.observe(guest, {})
  cluster.silence(host)
  return cluster
}

test('a recorded decision made again by the same code is the same', () => {
  const input = lossOf('h2').input()
  const again = replay(stored(recordOf('p1', input, decide(input))))
  assert.deepEqual(again.recorded, [
    { subject: 'host/h2', choice: 'lost' },
    { subject: 'guest/web', choice: 'recover on h3' },
  ])
  assert.deepEqual(again.differences, [])
})

test('where the code decides otherwise now, both choices are told', () => {
  const input = lossOf('h2').input()
  const record = stored(recordOf('p1', input, decide(input)))
  const older = { ...record, choices: [{ subject: 'guest/web', choice: 'recover on h1' }] }
  assert.deepEqual(replay(older).differences, [
    { subject: 'guest/web', was: 'recover on h1', isNow: 'recover on h3' },
    { subject: 'host/h2', was: 'nothing', isNow: 'lost' },
  ])
})

test('a plan that decides nothing leaves no record', () => {
  const input = new ClusterFixture().input()
  assert.equal(recordOf('p1', input, decide(input)), undefined)
})

test('reasons are told where the same is decided again, and only there', () => {
  const input = lossOf('h2').input()
  const record = stored(recordOf('p1', input, decide(input)))
  const [reason] = replay(record).reasons
  assert.equal(reason?.guest, 'web')
  assert.ok(reason.candidates.some(({ host, chosen }) => host === 'h3' && chosen))
  assert.ok(reason.facts.length > 0)
  const older = { ...record, choices: [{ subject: 'guest/web', choice: 'recover on h1' }] }
  assert.deepEqual(replay(older).reasons, [])
})
