import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostView } from '@stead/api/views.ts'
import { demandOf, domainsChange, domainsText, hostActions, obstacleTo } from './host-actions.ts'

const host = (change: Partial<HostView> = {}): HostView =>
  ({
    role: 'compute',
    state: 'online',
    maintenance: false,
    shutdown: null,
    guests: [],
    powerSwitch: false,
    ...change,
  }) as HostView

test('a host is emptied or given back, shut down or not; a witness runs no guests', () => {
  assert.deepEqual(hostActions(host()), ['drain', 'shutdown', 'domains', 'confirmDead', 'remove'])
  assert.deepEqual(hostActions(host({ maintenance: true, shutdown: 'reboot' })).slice(0, 2), [
    'undrain',
    'cancelShutdown',
  ])
  assert.deepEqual(hostActions(host({ role: 'witness' })), ['domains', 'remove'])
})

test('only where a device does that is a plug pulled and put in, of a witness too', () => {
  for (const role of ['compute', 'witness'] as const) {
    const of = (powerSwitch: boolean) => hostActions(host({ role, powerSwitch })).filter((each) => /Power/.test(each))
    assert.deepEqual(of(true), ['cutPower', 'restorePower'])
    assert.deepEqual(of(false), [])
  }
  assert.equal(obstacleTo('restorePower', host()), 'host.obstacle.heard')
  for (const state of ['online', 'suspected', 'lost'] as const)
    assert.equal(obstacleTo('cutPower', host({ state })), undefined, 'one that hangs is not heard from')
  assert.equal(obstacleTo('restorePower', host({ state: 'lost' })), undefined)
})

test('only a host that is not heard from can be said to be dead, only one without guests goes, and a lost one is down', () => {
  for (const state of ['online', 'draining', 'maintenance'] as const)
    assert.equal(obstacleTo('confirmDead', host({ state })), 'host.obstacle.heard')
  for (const state of ['suspected', 'lost', 'unknown'] as const)
    assert.equal(obstacleTo('confirmDead', host({ state })), undefined)
  assert.equal(obstacleTo('remove', host({ guests: ['web'] })), 'host.obstacle.guests')
  assert.equal(obstacleTo('remove', host()), undefined)
  assert.equal(obstacleTo('drain', host({ guests: ['web'] })), undefined)
  assert.equal(obstacleTo('shutdown', host({ state: 'lost' })), 'host.obstacle.lost')
  assert.equal(obstacleTo('shutdown', host({ state: 'suspected' })), undefined, 'the cluster has not decided it yet')
})

test('a death is confirmed for the whole cluster, all else is asked of the host', () => {
  assert.deepEqual(demandOf('cutPower', 'h1'), { privilege: 'cluster.failover', path: '/hosts/h1' })
  assert.deepEqual(demandOf('confirmDead', 'h1'), { privilege: 'cluster.failover', path: '/' })
  assert.deepEqual(demandOf('shutdown', 'h1'), { privilege: 'host.shutdown', path: '/hosts/h1' })
})

test('domains are typed as one line; those that are left out go', () => {
  const before = { rack: 'r1', room: 'cellar' }
  assert.equal(domainsText(before), 'rack=r1, room=cellar')
  assert.deepEqual(domainsChange(before, domainsText(before)), before)
  assert.deepEqual(domainsChange(before, ' rack = r2 ,'), { rack: 'r2', room: null })
  assert.deepEqual(domainsChange(before, ''), { rack: null, room: null })
  for (const wrong of ['rack', 'rack=', '=r1', 'rack=r1=r2']) assert.equal(domainsChange(before, wrong), undefined)
})
