import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostView } from '@stead/api/views.ts'
import { addressOf, hostsDownBy, thingAt, thingsOf } from './failing-thing.ts'

const host = (name: string, faultDomains: Record<string, string> = {}, role = 'compute') =>
  ({
    name,
    role,
    faultDomains,
    addresses: { lan: '10.0.0.1', ...(role === 'compute' ? { san: '10.1.0.1' } : {}) },
  }) as unknown as HostView
const HOSTS = [host('h1', { rack: 'r1' }), host('h2', { rack: 'r1' }), host('w', {}, 'witness')]

test('each thing that can fail has an address, by which it is found again', () => {
  const addresses = thingsOf(HOSTS).map(addressOf)
  assert.deepEqual(addresses, [
    ...['host:h1', 'host:h2', 'host:w', 'domain:rack=r1', 'storage:h1', 'storage:h2'],
    ...['network:lan', 'network:san', 'network:lan@h1', 'network:san@h1', 'network:lan@h2', 'network:san@h2'],
  ])
  for (const thing of thingsOf(HOSTS)) assert.deepEqual(thingAt(addressOf(thing)), thing)
  assert.equal(addressOf({ kind: 'host-down', hosts: ['h2', 'h1'] }), 'host:h1+h2')
})

test('what is no address of a thing is none', () => {
  for (const address of [undefined, '', 'host:', 'network:wan', 'domain:rack', 'guest:web'])
    assert.equal(thingAt(address), undefined, address)
})

test('with a fault domain all its hosts are dead', () => {
  assert.deepEqual([...hostsDownBy({ kind: 'domain-down', domain: 'rack', name: 'r1' }, HOSTS)], ['h1', 'h2'])
  assert.deepEqual([...hostsDownBy({ kind: 'network-down', network: 'lan' }, HOSTS)], [])
})
