import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { ClusterNetworks, HostNetworks, networkCalls } from '../network/host-networks.ts'
import type { PingFigures } from '../network/ping.ts'
import type { HostPort } from '../network/host-ports.ts'
import { TestBackend } from './backend-fixture.ts'

const PORT: HostPort = {
  ...{ name: 'ens2', kind: 'card', state: 'up', speedBitsPerSecond: 1e10, mtuBytes: 9000 },
  ...{ faultyPackets: 0, droppedPackets: 2, members: [] },
}

/** `ages`: what h1 has heard of the others, by host and network. */
async function start(
  context: TestContext,
  ages: Readonly<Record<string, Readonly<Record<string, number>>>>,
  pong: Result<PingFigures> = ok({ lostShare: 0.1, latencyMs: 0.2, jitterMs: 0.1 }),
) {
  const cluster = new ClusterFixture(3)
  const backend = await TestBackend.start(context, cluster)
  const state = () => backend.mirror.state
  const peers = Object.fromEntries(
    Object.entries(ages).map(([host, ageMs]) => [host, { ageMs, bootId: 'b', hears: {} }]),
  )
  const own = new HostNetworks({
    ...{ self: 'h1' as HostId, state, heartbeats: () => ({ peers }) as unknown as HeartbeatView },
    ports: async () => new Map([[state().hosts.get('h1' as HostId)!.value.addresses.san!, PORT]]),
    ping: async (from, to) => (sent.push(`${from} ${to}`), pong),
  })
  const asked: string[] = []
  const sent: string[] = []
  backend.networks = new ClusterNetworks(
    {
      ...{ self: 'h1' as HostId, state },
      call: async (host, name, input) => {
        asked.push(`${host} ${name}`)
        if (host !== 'h2') return ok([])
        // Who answers slowly is told apart from who does not.
        return name === 'host-ways' ? fail(failure('timeout', 'too late')) : networkCalls(own)[name]!(input)
      },
    },
    own,
  )
  return { backend, cluster, asked, sent }
}

test('each host tells of its own ports, and whom it hears on each network', async (context) => {
  const { backend, asked } = await start(context, { h2: { lan: 100, san: 100 }, h3: { lan: 100, san: 60_000 } })
  const { items, silent } = await backend.must('network.list')
  assert.deepEqual(asked.toSorted(), ['h2 host-networks', 'h3 host-networks'])
  assert.deepEqual(silent, [])
  const san = items.find(({ host, network }) => host === 'h1' && network === 'san')
  assert.deepEqual(san?.port, { ...PORT, vlan: null })
  assert.deepEqual(san.peers, [
    { host: 'h2', silentMs: 100, state: 'heard' },
    { host: 'h3', silentMs: 60_000, state: 'silent' },
  ])
  const lan = items.find(({ host, network }) => host === 'h1' && network === 'lan')
  assert.equal(lan?.port, null, 'no port of the host has that address')
  assert.deepEqual(
    items.map(({ host }) => host),
    items.map(({ host }) => host).toSorted(),
  )
})

test('a network on which no heartbeat ever came is silent; a host that is lost is down, and is not asked', async (context) => {
  const { backend, cluster, asked } = await start(context, { h2: { lan: 100 } })
  cluster.lose('h3')
  await backend.put(KEYS.status('h3' as HostId), cluster.state.statuses.get('h3' as HostId)!.value)
  const { items, silent } = await backend.must('network.list')
  const san = items.find(({ host, network }) => host === 'h1' && network === 'san')
  assert.deepEqual(
    san?.peers.map(({ host, state, silentMs }) => [host, state, silentMs]),
    [
      ['h2', 'silent', null],
      ['h3', 'down', null],
    ],
  )
  assert.deepEqual([asked, silent], [['h2 host-networks'], ['h3']])
})

test('each host measures the way to every other one that is up, on each network that both have', async (context) => {
  const { backend, cluster, asked, sent } = await start(context, {})
  cluster.lose('h3')
  await backend.put(KEYS.status('h3' as HostId), cluster.state.statuses.get('h3' as HostId)!.value)
  const { items, silent } = await backend.must('network.measure')
  const { lan, san } = backend.mirror.state.hosts.get('h1' as HostId)!.value.addresses
  const there = backend.mirror.state.hosts.get('h2' as HostId)!.value.addresses
  assert.deepEqual(sent.slice(0, 2), [`${lan} ${there.lan}`, `${san} ${there.san}`])
  assert.deepEqual(items[0], { network: 'lan', from: 'h1', to: 'h2', lostShare: 0.1, latencyMs: 0.2, jitterMs: 0.1 })
  assert.ok(items.every(({ from, to }) => from === 'h1' && to === 'h2'))
  assert.deepEqual([asked, silent], [['h2 host-ways'], ['h2', 'h3']])
})

test('a way on which nothing comes back is told so; one that could not be measured is left out', async (context) => {
  const lost = await start(context, {}, ok({ lostShare: 1 }))
  const { items } = await lost.backend.must('network.measure')
  assert.deepEqual(
    items.map(({ lostShare, latencyMs }) => [lostShare, latencyMs]),
    items.map(() => [1, null]),
  )
  assert.ok(items.length >= 4)
  const broken = await start(context, {}, fail(failure('internal', 'there is no ping')))
  assert.deepEqual((await broken.backend.must('network.measure')).items, [])
})
