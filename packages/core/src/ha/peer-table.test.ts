import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostVerdicts } from './detection.ts'
import type { HostId } from '../model/ids.ts'
import type { Heartbeat } from './heartbeat.ts'
import { PeerTable } from './peer-table.ts'

const id = (name: string) => name as HostId
const INTERVAL_MS = 100
const DETECTION_MS = 1000

function table(hostId: string, bootId: string, startedAt: number, peers: string[]): PeerTable {
  const made = new PeerTable({
    hostId: id(hostId),
    bootId,
    bootTag: (id) => id,
    heartbeatIntervalMs: INTERVAL_MS,
    detectionMs: DETECTION_MS,
    startedAt,
  })
  made.setPeers(peers.map(id))
  return made
}

/** Runs the tables in step; `delivers` decides which heartbeats arrive. Returns all heartbeats sent. */
function run(
  tables: Record<string, PeerTable>,
  from: number,
  to: number,
  delivers = (_from: string, _to: string) => true,
) {
  const sent: Heartbeat[] = []
  for (let now = from; now < to; now += INTERVAL_MS) {
    for (const [sender, each] of Object.entries(tables)) {
      each.tick(now)
      const heartbeat = each.makeHeartbeat(each.view(now, { isolated: false }))
      sent.push(heartbeat)
      for (const [receiver, other] of Object.entries(tables)) {
        if (receiver !== sender && delivers(sender, receiver)) other.receive('lan', heartbeat, now + 1)
      }
    }
  }
  return sent
}

function verdictsOf(each: PeerTable, self: string, now: number) {
  const members = ['a', 'b', 'c'].map(id)
  const view = each.view(now, { isolated: false })
  return Object.fromEntries(hostVerdicts({ self: id(self), view, members, detectionMs: DETECTION_MS }))
}

function three(startedAt = 0) {
  return {
    a: table('a', 'boot-a', startedAt, ['b', 'c']),
    b: table('b', 'boot-b', startedAt, ['a', 'c']),
    c: table('c', 'boot-c', startedAt, ['a', 'b']),
  }
}

test('peers accept each other within three heartbeats, and know that they are heard', () => {
  const tables = three()
  run(tables, 0, 300)
  assert.equal(tables.a.view(300, { isolated: false }).peers['b']?.bootId, 'boot-b')
  assert.ok((tables.a.contactSentAt ?? -1) >= 100)
})

test('a silent host is suspected by both others after the detection time, not before', () => {
  const tables = three()
  run(tables, 0, 5000)
  run(tables, 5000, 5900, (from) => from !== 'c')
  assert.equal(verdictsOf(tables.a, 'a', 5900)['c'], 'heard')
  run(tables, 5900, 6200, (from) => from !== 'c')
  assert.equal(verdictsOf(tables.a, 'a', 6150)['c'], 'suspected')
  assert.equal(verdictsOf(tables.a, 'a', 6150)['b'], 'heard')
})

test('hearing without being heard is no contact', () => {
  const tables = three()
  run(tables, 0, 2000)
  const before = tables.a.contactSentAt
  run(tables, 2000, 4000, (from) => from !== 'a')
  assert.ok(tables.a.contactSentAt! - before! <= INTERVAL_MS)
  // It says itself that it does not hear us; that alone makes nobody suspected.
  assert.equal(verdictsOf(tables.a, 'a', 4000)['b'], 'silent-here')
})

test('a thawed host suspects nobody, and what queued up meanwhile is no evidence', () => {
  const tables = three()
  run(tables, 0, 5000)
  const { a, ...others } = tables
  const contactBefore = a.contactSentAt
  const queued = run(others, 5000, 9000)
  for (const heartbeat of queued) a.receive('lan', heartbeat, 9000)
  a.tick(9000)
  for (const heartbeat of queued) a.receive('lan', heartbeat, 9001)
  assert.equal(a.contactSentAt, contactBefore)
  assert.equal(a.view(9001, { isolated: true }).stalled, true)
  assert.deepEqual(verdictsOf(a, 'a', 9001), { b: 'heard', c: 'heard' })
  run(tables, 9100, 11_000, (from) => from !== 'c')
  assert.equal(verdictsOf(a, 'a', 11_000)['c'], 'suspected')
  assert.equal(verdictsOf(a, 'a', 11_000)['b'], 'heard')
})

test('hosts that were all alone suspect nobody when they hear each other again', () => {
  const tables = three()
  run(tables, 0, 5000)
  run(tables, 5000, 20_000, () => false)
  for (let now = 20_000; now < 23_000; now += INTERVAL_MS) {
    run(tables, now, now + INTERVAL_MS)
    for (const [name, each] of Object.entries(tables))
      assert.ok(!Object.values(verdictsOf(each, name, now + 50)).includes('suspected'), `${name} at ${now}`)
  }
})

test('hosts that have booted alone suspect nobody when the networks come', () => {
  const tables = three()
  run(tables, 0, 20_000, () => false)
  for (let now = 20_000; now < 25_000; now += INTERVAL_MS) {
    run(tables, now, now + INTERVAL_MS)
    for (const [name, each] of Object.entries(tables))
      assert.ok(!Object.values(verdictsOf(each, name, now + 50)).includes('suspected'), `${name} at ${now}`)
  }
})

test('who was alone notices soon that a host has not come back', () => {
  const tables = three()
  run(tables, 0, 5000)
  run(tables, 5000, 20_000, () => false)
  run(tables, 20_000, 21_300, (from) => from !== 'c')
  assert.equal(verdictsOf(tables.a, 'a', 21_250)['c'], 'suspected')
})

test('replayed heartbeats of this boot and of an earlier one are dropped', () => {
  const tables = three()
  const recorded = run(tables, 0, 2000).filter((heartbeat) => heartbeat.from === 'b')
  const rebooted = { ...tables, b: table('b', 'boot-b2', 2500, ['a', 'c']) }
  run(rebooted, 2500, 3000)
  assert.equal(tables.a.view(3000, { isolated: false }).peers['b']?.bootId, 'boot-b2')
  for (let now = 3000; now < 6000; now += INTERVAL_MS) {
    tables.a.tick(now)
    for (const heartbeat of recorded) tables.a.receive('lan', heartbeat, now)
  }
  const peer = tables.a.view(6000, { isolated: false }).peers['b']
  assert.equal(peer?.bootId, 'boot-b2')
  assert.ok(peer.ageMs['lan']! > 2900)
})

test('a recorded first heartbeat is not accepted by a host that restarted', () => {
  const recorded = run(three(), 0, 2000).filter((heartbeat) => heartbeat.from === 'b')
  const fresh = table('a', 'boot-a2', 50_000, ['b', 'c'])
  fresh.tick(50_100)
  for (const heartbeat of recorded) fresh.receive('lan', heartbeat, 50_101)
  assert.equal(fresh.view(50_200, { isolated: false }).peers['b']?.bootId, '')
})

test('a restarted guardian of the same boot is heard at once', () => {
  const tables = three()
  run(tables, 0, 2000)
  const restarted = { ...tables, b: table('b', 'boot-b', 2400, ['a', 'c']) }
  run(restarted, 2400, 2500)
  assert.ok(tables.a.view(2500, { isolated: false }).peers['b']!.ageMs['lan']! <= INTERVAL_MS)
})

test('hosts may join and leave', () => {
  const tables = three()
  tables.a.setPeers([id('b')])
  run(tables, 0, 1000)
  assert.deepEqual(Object.keys(tables.a.view(1000, { isolated: false }).peers), ['b'])
  tables.a.setPeers([id('b'), id('c')])
  run(tables, 1000, 2000)
  assert.equal(tables.a.view(2000, { isolated: false }).peers['c']?.bootId, 'boot-c')
})
