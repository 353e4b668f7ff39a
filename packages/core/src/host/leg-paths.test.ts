import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterState } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'
import type { ExportAddress } from '../ports/volume-host.ts'
import type { HostContext } from './host-context.ts'
import { answeringPaths, copyTarget, pathsTo, serverOf } from './leg-paths.ts'

const [H1, H2] = ['h1', 'h2'] as HostId[] as [HostId, HostId]
const addresses = { lan: '192.0.2.2', san: '10.0.1.2', ran: '10.0.2.2' }
const state = { hosts: new Map([[H2, { value: { addresses } }]]) } as unknown as ClusterState
const key = { identity: 'h1/vol-v-e5', secret: 'ab'.repeat(32) }
const old: ExportAddress = { exportName: 'vol-v-e5', loopback: '127.0.0.1', port: 10_809 }
const gated: ExportAddress = { ...old, gate: { port: 11_809, key } }
const replica = { host: H2, pool: 'fast' }

test('a leg on another host goes to its gate with the key, on whichever network', () => {
  assert.deepEqual(
    pathsTo(state, H2, serverOf(gated)).map(({ network, endpoint }) => [network, endpoint]),
    (['san', 'ran', 'lan'] as const).map((network) => [
      network,
      { kind: 'tcp', address: addresses[network], port: 11_809, key },
    ]),
  )
})

test('a host of a version without a gate is reached in clear', () => {
  const [path] = pathsTo(state, H2, serverOf(old))
  assert.deepEqual(path?.endpoint, { kind: 'tcp', address: addresses.san, port: 10_809 })
})

test('a copy goes to another host by its gate, and within one host by loopback, in clear', () => {
  const common = { host: H2, pool: 'fast', exportName: 'vol-v-e5' }
  assert.deepEqual(copyTarget(state, H1, replica, gated), { ...common, address: addresses.ran, port: 11_809, key })
  assert.deepEqual(copyTarget(state, H1, replica, old), { ...common, address: addresses.ran, port: 10_809 })
  assert.deepEqual(copyTarget(state, H2, replica, gated), { ...common, address: '127.0.0.1', port: 10_809 })
})

test('a network that waits for its turn at the heartbeats is asked; one that has missed turns is not, nor is a silent host', async () => {
  const asked = async (ageMs: Readonly<Record<string, number>>, stalled = false) => {
    const context = {
      fence: { view: () => ({ stalled, peers: { h2: { ageMs } } }) },
      legWatch: { ask: async () => 'alive' },
    } as unknown as HostContext
    const paths = await answeringPaths(context, H2, pathsTo(state, H2, serverOf(gated)))
    return paths.map(({ network }) => network)
  }
  // Each of three is heard every 600 ms, and sometimes a little later.
  assert.deepEqual(await asked({ san: 640, ran: 430, lan: 220 }), ['san', 'ran', 'lan'])
  assert.deepEqual(await asked({ san: 1_040, ran: 430, lan: 220 }), ['ran', 'lan'])
  assert.deepEqual(await asked({ ran: 40, lan: 220 }), ['ran', 'lan'])
  assert.deepEqual(await asked({ san: 640, ran: 980, lan: 820 }), [])
  assert.deepEqual(await asked({}), [])
  assert.deepEqual(await asked({ san: 5_000 }, true), ['san', 'ran', 'lan'])
})
