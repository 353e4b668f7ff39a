import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LimitFailure } from '../model/container-counters.ts'
import type { GuestId } from '../model/ids.ts'
import { LimitNotices } from './limit-notices.ts'

const web = 'g1' as GuestId
const names = (guest: GuestId) => (guest === web ? 'web1' : undefined)
const forks = (failures: number, total: number): LimitFailure => ({ resource: 'numproc', failures, total, limit: 50 })

test('a first refusal is told at once, with its limit and what was refused', () => {
  const notices = new LimitNotices()
  notices.add(web, [{ resource: 'physpages', failures: 1, total: 3, limit: 16_384 }])
  assert.deepEqual(notices.due(0, names), [
    {
      kind: 'guest.limit-reached',
      subject: 'guest/web1',
      message:
        'web1 was refused once by physpages (memory: processes, page cache and kernel memory), limit 16384 pages (64 MiB)',
      details: { resource: 'physpages', failures: 1, total: 3, limit: 16_384 },
    },
  ])
})

test('what follows within a minute is told together when the minute is over', () => {
  const notices = new LimitNotices()
  notices.add(web, [forks(10, 10)])
  assert.equal(notices.due(0, names).length, 1)
  notices.add(web, [forks(5, 15)])
  assert.deepEqual(notices.due(10_000, names), [])
  notices.add(web, [forks(7, 22)])
  assert.deepEqual(notices.due(59_999, names), [])
  assert.deepEqual(
    notices.due(60_000, names).map(({ details }) => details),
    [{ resource: 'numproc', failures: 12, total: 22, limit: 50 }],
  )
})

test('each resource has a minute of its own', () => {
  const notices = new LimitNotices()
  notices.add(web, [forks(1, 1)])
  notices.due(0, names)
  notices.add(web, [{ resource: 'oomguarpages', failures: 1, total: 1, limit: null }])
  assert.deepEqual(
    notices.due(1, names).map(({ message }) => message),
    ['web1 was refused once by oomguarpages (memory and swap together, as OpenVZ promised it when the host runs out)'],
  )
})

test('a quiet minute lets the next refusal be told at once, and what belongs to a deleted guest is forgotten', () => {
  const notices = new LimitNotices()
  notices.add(web, [forks(1, 1)])
  notices.due(0, names)
  assert.deepEqual(notices.due(60_000, names), [])
  notices.add(web, [forks(1, 2)])
  notices.add('g2' as GuestId, [forks(9, 9)])
  assert.equal(notices.due(60_001, names).length, 1)
  assert.deepEqual(
    notices.due(200_000, () => 'late'),
    [],
  )
})
