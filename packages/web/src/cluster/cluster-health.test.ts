import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestView, HostView } from '@stead/api/views.ts'
import { healthOf } from './cluster-health.ts'

const guest = (name: string, level = 'protected', state = 'running') =>
  ({ name, state, protection: { level }, volumes: [{}] }) as unknown as GuestView
const host = (name: string, state = 'online', maintenance = false) => ({ name, state, maintenance }) as HostView

const said = (guests: GuestView[], hosts: HostView[]) => {
  const { headline, lines } = healthOf(guests, hosts)
  return [headline, ...lines.map(({ text, names }) => `${text}: ${names.join(' ')}`)]
}

test('when all is well nothing more is said', () => {
  assert.deepEqual(said([guest('a'), guest('b', 'protected', 'stopped')], [host('h1')]), ['good'])
})

test('the worst is said first, each with whom it is about', () => {
  assert.deepEqual(
    said(
      [guest('old', 'unprotected'), guest('web', 'degraded', 'waiting'), guest('db', 'degraded')],
      [host('h1'), host('h2', 'lost'), host('h3', 'online', true)],
    ),
    [
      'bad',
      'health.hostsLost: h2',
      'health.waiting: web',
      'health.degraded: web db',
      'health.unprotected: old',
      'health.maintenance: h3',
    ],
  )
})

test('a guest without a disk has nothing that could be lost', () => {
  const diskless = { ...guest('probe', 'unprotected'), volumes: [] }
  assert.deepEqual(said([diskless], [host('h1')]), ['good'])
})
