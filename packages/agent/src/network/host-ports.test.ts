import assert from 'node:assert/strict'
import { test } from 'node:test'
import { portsByAddress } from './host-ports.ts'

/** As iproute2 6.1 tells it, without what nobody looks at. */
const link = (ifname: string, more: object = {}) => ({
  ...{ ifname, flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'], mtu: 1500, operstate: 'UP', link_type: 'ether' },
  ...{ addr_info: [], stats64: { rx: { errors: 0, dropped: 0 }, tx: { errors: 0, dropped: 0 } }, ...more },
})
const at = (...local: string[]) => ({ addr_info: local.map((address) => ({ family: 'inet', local: address })) })
const down = { operstate: 'DOWN', flags: ['NO-CARRIER', 'BROADCAST', 'MULTICAST', 'UP'] }
const kind = (info_kind: string, info_data: object = {}) => ({ linkinfo: { info_kind, info_data } })

const SPEEDS: Readonly<Record<string, number>> = { eno1: 1e9, ens1f0: 25e9, ens1f1: 10e9, ens2: 10e9 }
const portAt = (address: string, ...links: object[]) =>
  portsByAddress(JSON.stringify(links), (name) => SPEEDS[name]).get(address)

test('a card has its own link, speed, size of packets, and what went wrong on it', () => {
  const stats64 = { rx: { errors: 2, dropped: 30 }, tx: { errors: 1, dropped: 4 } }
  assert.deepEqual(portAt('10.0.0.1', link('ens2', { ...at('10.0.0.1', 'fe80::1'), mtu: 9000, stats64 })), {
    ...{ name: 'ens2', kind: 'card', state: 'up', speedBitsPerSecond: 10e9, mtuBytes: 9000 },
    ...{ faultyPackets: 3, droppedPackets: 34, members: [] },
  })
})

test('a port whose cable is pulled is down, and has no speed', () => {
  const port = portAt('10.0.0.1', link('ens2', { ...at('10.0.0.1'), ...down }))
  assert.deepEqual([port?.state, port?.speedBitsPerSecond], ['down', undefined])
})

test("a bridge counts as its ways outside do: guests' ports keep it up, and lead nowhere", () => {
  const bridge = link('lanbr0', { ...at('10.0.0.1'), ...kind('bridge') })
  const guest = link('st1a2b3c4d0', { master: 'lanbr0', ...kind('tun') })
  const outside = link('eno1', { master: 'lanbr0' })
  const up = portAt('10.0.0.1', bridge, guest, outside)
  assert.deepEqual(up?.members, [{ name: 'eno1', state: 'up', speedBitsPerSecond: 1e9 }])
  assert.deepEqual([up.kind, up.state, up.speedBitsPerSecond], ['bridge', 'up', 1e9])
  const cut = portAt('10.0.0.1', bridge, guest, { ...outside, ...down })
  assert.deepEqual([cut?.state, cut?.members[0]?.state], ['down', 'down'])
})

test('a bond is up while one of its cards is, and as fast as the fastest that is', () => {
  const bond = link('bond0', { ...at('10.0.0.1'), ...kind('bond') })
  const port = portAt(
    '10.0.0.1',
    ...[bond, link('ens1f0', { master: 'bond0', ...down }), link('ens1f1', { master: 'bond0' })],
  )
  assert.deepEqual([port?.kind, port?.state, port?.speedBitsPerSecond], ['bond', 'up', 10e9])
})

test('a VLAN tells its number; drivers that tell no state count by the layer below', () => {
  const vlan = portAt('10.0.0.1', link('bond0.20', { ...at('10.0.0.1'), ...kind('vlan', { id: 20 }) }))
  assert.deepEqual([vlan?.kind, vlan?.vlan], ['vlan', 20])
  const tunnel = { ...at('10.0.0.2'), ...kind('tun'), operstate: 'UNKNOWN', link_type: 'none' }
  assert.deepEqual(
    [portAt('10.0.0.2', link('tun0', tunnel)), portAt('10.0.0.2', link('tun0', { ...tunnel, flags: ['UP'] }))].map(
      (port) => [port?.kind, port?.state],
    ),
    [
      ['virtual', 'up'],
      ['virtual', 'unknown'],
    ],
  )
})

test('an address that no port has is of none', () => {
  assert.equal(portAt('10.0.0.9', link('ens2', at('10.0.0.1'))), undefined)
})
