import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterEvent, EventKind } from '@stead/core/model/event.ts'
import { failoversIn, lengthMs } from './failovers.ts'

const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString()
const event = (ms: number, kind: EventKind, subject: string, message = '', details = {}) =>
  ({ id: `${ms}/${kind}/${subject}`, time: at(ms), kind, subject, message, details }) as ClusterEvent
const granted = (ms: number, guest: string, to: string, why: string) =>
  event(ms, 'grant.committed', `guest/${guest}`, `${guest} is granted to ${to} at epoch 2: ${why}`, { host: to })

const LOSS = [
  event(0, 'host.online', 'host/h1'),
  event(1_000, 'host.suspected', 'host/h1'),
  event(1_020, 'host.suspected', 'host/h1'),
  event(1_100, 'host.lost', 'host/h1'),
  granted(1_150, 'web', 'h2', 'h1 is lost'),
  granted(1_160, 'db', 'h3', 'h1 is lost'),
  granted(1_170, 'new', 'h3', 'it is to run'),
  event(1_400, 'guest.started', 'guest/web'),
  event(1_450, 'guest.started', 'guest/new'),
]

test('a failover is read from the first suspicion to each start', () => {
  const [failover, ...rest] = failoversIn(LOSS)
  assert.equal(rest.length, 0)
  const base = Date.parse(at(0))
  assert.deepEqual(failover, {
    id: '1100/host.lost/host/h1',
    host: 'h1',
    suspectedAtMs: base + 1_000,
    lostAtMs: base + 1_100,
    backAtMs: undefined,
    guests: [
      { name: 'web', to: 'h2', grantedAtMs: base + 1_150, startedAtMs: base + 1_400 },
      { name: 'db', to: 'h3', grantedAtMs: base + 1_160, startedAtMs: undefined },
    ],
  })
  assert.equal(lengthMs(failover), 400)
})

test('what happens after the host is back, or much later, belongs to no failover', () => {
  const back = [...LOSS, event(60_000, 'host.online', 'host/h1'), granted(61_000, 'late', 'h2', 'h1 is lost')]
  assert.deepEqual(
    failoversIn(back)[0]?.guests.map(({ name }) => name),
    ['web', 'db'],
  )
  const later = [...LOSS, granted(900_000, 'late', 'h2', 'h1 is lost')]
  assert.deepEqual(
    failoversIn(later)[0]?.guests.map(({ name }) => name),
    ['web', 'db'],
  )
})

test('the newest is first, and a loss that nobody suspected before begins with itself', () => {
  const again = [...LOSS, event(60_000, 'host.online', 'host/h1'), event(90_000, 'host.lost', 'host/h1')]
  const [newest, older] = failoversIn(again)
  assert.equal(newest?.suspectedAtMs, undefined)
  assert.equal(newest && lengthMs(newest), 0)
  assert.equal(older?.guests.length, 2)
})
