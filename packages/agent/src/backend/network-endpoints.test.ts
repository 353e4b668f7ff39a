import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import { ok } from '@stead/core/result.ts'
import { ClusterNetworks, HostNetworks, networkCalls } from '../network/host-networks.ts'
import type { HostPort } from '../network/host-ports.ts'
import { TestBackend } from './backend-fixture.ts'

const PORT: HostPort = {
  ...{ name: 'ens2', kind: 'card', state: 'up', speedBitsPerSecond: 1e10, mtuBytes: 9000 },
  ...{ faultyPackets: 0, droppedPackets: 2, members: [] },
}

/** `ages`: what h1 has heard of the others, by host and network. */
async function start(context: TestContext, ages: Readonly<Record<string, Readonly<Record<string, number>>>>) {
  const cluster = new ClusterFixture(3)
  const backend = await TestBackend.start(context, cluster)
  const state = () => backend.mirror.state
  const peers = Object.fromEntries(
    Object.entries(ages).map(([host, ageMs]) => [host, { ageMs, bootId: 'b', hears: {} }]),
  )
  const own = new HostNetworks({
    ...{ self: 'h1' as HostId, state, heartbeats: () => ({ peers }) as unknown as HeartbeatView },
    ports: async () => new Map([[state().hosts.get('h1' as HostId)!.value.addresses.san!, PORT]]),
  })
  const asked: string[] = []
  backend.networks = new ClusterNetworks(
    {
      ...{ self: 'h1' as HostId, state },
      call: async (host, name, input) => {
        asked.push(`${host} ${name}`)
        return host === 'h2' ? networkCalls(own)[name]!(input) : ok([])
      },
    },
    own,
  )
  return { backend, cluster, asked }
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
