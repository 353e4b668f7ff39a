import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdMembers, hardwareAddress, labPlaces, planHosts, withPrefix } from './topology.ts'

function votersOf(compute: number, witness = false): string {
  const hosts = planHosts(compute, witness)
  assert.ok(hosts.ok)
  return etcdMembers(hosts.value).join(' ')
}

test('etcd has as many voters as an odd number allows, and the witness where there is one', () => {
  assert.equal(votersOf(1), 'h1')
  assert.equal(votersOf(2), 'h1 h2')
  assert.equal(votersOf(2, true), 'h1 h2 witness')
  assert.equal(votersOf(3), 'h1 h2 h3')
  assert.equal(votersOf(4), 'h1 h2 h3')
  assert.equal(votersOf(5), 'h1 h2 h3 h4 h5')
  assert.equal(votersOf(9), 'h1 h2 h3 h4 h5')
  assert.equal(votersOf(4, true), 'h1 h2 h3 h4 witness')
})

test('hosts are numbered from 1, the witness last', () => {
  const hosts = planHosts(2, true)
  assert.ok(hosts.ok)
  assert.deepEqual(
    hosts.value.map(({ id, role, number, addresses }) => [
      id,
      role,
      number,
      addresses.lan,
      addresses.san,
      addresses.ran,
    ]),
    [
      ['h1', 'compute', 1, '10.66.0.1', '10.77.0.1', '10.88.0.1'],
      ['h2', 'compute', 2, '10.66.0.2', '10.77.0.2', '10.88.0.2'],
      ['witness', 'witness', 3, '10.66.0.3', '10.77.0.3', '10.88.0.3'],
    ],
  )
  assert.equal(planHosts(0, true).ok, false)
  assert.equal(planHosts(33, false).ok, false)
  assert.equal(planHosts(1.5, false).ok, false)
  assert.equal(planHosts(Number.NaN, false).ok, false)
})

test('the LAN is wide enough for guests next to the hosts', () => {
  assert.equal(withPrefix('lan', '10.66.0.1'), '10.66.0.1/16')
  assert.equal(withPrefix('ran', '10.88.0.1'), '10.88.0.1/24')
})

test('hardware addresses are stable, local, unicast and differ from port to port', () => {
  const ports = ['lan0', 'san0', 'ran0'].flatMap((port) =>
    ['h1', 'h2'].map((host) => hardwareAddress('lab', host, port)),
  )
  assert.equal(new Set(ports).size, ports.length)
  assert.ok(ports.every((address) => /^02(:[0-9a-f]{2}){5}$/.test(address)))
  assert.equal(hardwareAddress('lab', 'h1', 'lan0'), ports[0])
})

test('a lab id can be no prefix of what belongs to another lab', () => {
  assert.deepEqual(labPlaces({ STEAD_LAB_ROOT: '/labs', STEAD_LAB: 'blue' }), {
    ok: true,
    value: { lab: 'blue', folder: '/labs/blue' },
  })
  assert.equal(labPlaces({}, 'red').ok, true)
  for (const bad of ['a-b', '../x', '', 'A', '1a', 'sixteenletterslo']) assert.equal(labPlaces({}, bad).ok, false, bad)
})
