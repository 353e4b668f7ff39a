import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostNetworkView, NetworkWayView } from '@stead/api/endpoints/networks.ts'
import { findingsOf, slowestWay, standInFor, wayFindings } from './network-judgement.ts'

type Port = NonNullable<HostNetworkView['port']>

function side(host: string, port: Partial<Port> | null = {}, peers: HostNetworkView['peers'] = []): HostNetworkView {
  const whole: Port = {
    ...{ name: 'ens2', kind: 'card', vlan: null, state: 'up', speedBitsPerSecond: 10e9, mtuBytes: 9000 },
    ...{ faultyPackets: 0, droppedPackets: 0, members: [] },
  }
  return { host, network: 'san', address: `10.0.0.${host}`, port: port && { ...whole, ...port }, peers }
}

test('a network on which all is well has nothing against it', () => {
  const heard = [{ host: 'h2', silentMs: 100, state: 'heard' as const }]
  assert.deepEqual(findingsOf('san', [side('h1', {}, heard), side('h2')]), [])
  assert.deepEqual(findingsOf('san', [side('h1', { speedBitsPerSecond: null, state: 'unknown' })]), [])
})

test('who does not hear a living host is named; a dead host is no fault of the network', () => {
  const peers = [
    { host: 'h2', silentMs: 9_000, state: 'silent' as const },
    { host: 'h3', silentMs: null, state: 'down' as const },
  ]
  assert.deepEqual(findingsOf('san', [side('h1', {}, peers)]), [{ kind: 'silent', host: 'h1', name: 'h2' }])
})

test('of a port that is down or missing nothing else is said, by whomever', () => {
  const silent = [{ host: 'h2', silentMs: null, state: 'silent' as const }]
  assert.deepEqual(findingsOf('san', [side('h1', {}, silent), side('h2', { state: 'down' })]), [
    { kind: 'down', host: 'h2', name: 'ens2' },
  ])
  assert.deepEqual(findingsOf('san', [side('h1', { state: 'down', faultyPackets: 3 }, silent)]), [
    { kind: 'down', host: 'h1', name: 'ens2' },
  ])
  assert.deepEqual(findingsOf('san', [side('1', null, silent)]), [{ kind: 'no-port', host: '1', name: '10.0.0.1' }])
})

test('what is slow, broken or of another size stands after what is cut', () => {
  const members = [{ name: 'ens1', state: 'down' as const, speedBitsPerSecond: null }]
  const found = findingsOf('san', [
    side('h1', { speedBitsPerSecond: 100e6, faultyPackets: 1 }),
    side('h2', { kind: 'bond', members, mtuBytes: 1500 }),
    side('h3', { state: 'down' }),
  ])
  assert.deepEqual(
    found.map(({ kind }) => kind),
    ['down', 'slow', 'faulty', 'member-down', 'mtu'],
  )
  assert.deepEqual(found.at(-1), {
    kind: 'mtu',
    sizes: [
      [1500, ['h2']],
      [9000, ['h1', 'h3']],
    ],
  })
  assert.deepEqual(findingsOf('lan', [side('h1', { speedBitsPerSecond: 100e6 })]), [])
})

test('where a network is missing another one carries what it would', () => {
  assert.equal(standInFor('ran', ['lan', 'san']), 'san')
  assert.equal(standInFor('san', ['lan']), 'lan')
  assert.equal(standInFor('lan', ['san']), undefined)
})

const way = (to: string, latencyMs: number | null, lostShare = 0): NetworkWayView => ({
  ...{ network: 'san', from: 'h1', to, latencyMs, lostShare, jitterMs: latencyMs === null ? null : 0.1 },
})

test('what was measured speaks against a network where packets get lost, or take longer than disks wait', () => {
  assert.deepEqual(wayFindings('san', [way('h2', 0.9), way('h3', 1.2), way('h4', 0.1, 0.2), way('h5', null, 1)]), [
    { kind: 'late', host: 'h1', name: 'h3', latencyMs: 1.2 },
    { kind: 'lossy', host: 'h1', name: 'h4', lostShare: 0.2 },
    { kind: 'lossy', host: 'h1', name: 'h5', lostShare: 1 },
  ])
  assert.deepEqual(wayFindings('lan', [way('h3', 4.9)]), [])
})

test('the slowest way is the one on which nothing came back, else the longest', () => {
  assert.equal(slowestWay([way('h2', 0.2), way('h3', 0.4)])?.to, 'h3')
  assert.equal(slowestWay([way('h2', null, 1), way('h3', 9)])?.to, 'h2')
  assert.equal(slowestWay([]), undefined)
})
