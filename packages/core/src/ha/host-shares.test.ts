/** Devices, huge pages and processors of a guest's own: the planner puts a guest only where they are free. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestPlatform } from '../model/platform.ts'
import type { Guest } from '../model/guest.ts'
import type { Host } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { objectionToLiveMove } from './live-move.ts'
import { moveTargets } from './move-request.ts'

const GPU = 'gpu/nvidia-h200x-1-18c'
const isUp = () => true

/** `web` runs on h1 and wants this platform; h2 and h3 have what is given. */
function clusterWith(platform: GuestPlatform, has: Partial<Record<'h1' | 'h2' | 'h3', Partial<Host>>>) {
  const cluster = new ClusterFixture(3)
  for (const [id, extra] of Object.entries(has)) {
    const known = cluster.state.hosts.get(id as HostId)!
    cluster.state.hosts.set(id as HostId, { ...known, value: { ...known.value, ...extra } })
  }
  const web = cluster.guest('web', { platform })
  cluster.grant(web, 'h1')
  return { cluster, web }
}

function reasons(cluster: ClusterFixture, guest: Guest): Record<string, string> {
  const targets = moveTargets(cluster.state, guest, isUp)
  return Object.fromEntries(targets.map(({ host, reason }) => [host, reason]))
}

const gpus = (count: number): Partial<Host> => ({ devices: [{ name: GPU, kind: 'vgpu', count }] })

test('a guest with a share of a GPU goes only where the same share is free', () => {
  const { cluster, web } = clusterWith({ devices: { [GPU]: 1 } }, { h1: gpus(1), h2: gpus(1) })
  const other = cluster.guest('other', { platform: { devices: { [GPU]: 1 } } })
  assert.match(reasons(cluster, web)['h3'] ?? '', /it has no gpu\/nvidia-h200x-1-18c free/)
  assert.equal(reasons(cluster, web)['h2'], '')
  cluster.grant(other, 'h2')
  assert.match(reasons(cluster, web)['h2'] ?? '', /no gpu\/nvidia-h200x-1-18c free/)
})

test('shares for containers are none for virtual machines', () => {
  const mig = { devices: [{ name: 'mig/3g.20gb', kind: 'mig', count: 2 }] } as const
  const { cluster, web } = clusterWith({ devices: { 'mig/3g.20gb': 1 } }, { h2: mig })
  assert.match(reasons(cluster, web)['h2'] ?? '', /no mig\/3g.20gb free/)
})

test('a guest that holds a device is not moved while it runs, and it is said why', () => {
  const { cluster, web } = clusterWith({ devices: { [GPU]: 1 } }, { h1: gpus(1), h2: gpus(1) })
  const grant = cluster.state.grants.get(web.id)!.value
  cluster.observe(web, { phase: 'running' })
  assert.match(objectionToLiveMove(cluster.state, web, grant), /holds a device of its host \(gpu\/nvidia/)
})

test('huge pages are counted apart from ordinary memory', () => {
  const memoryBytes = 512 * 2 ** 20
  const { cluster, web } = clusterWith(
    { hugePages: '2M' },
    { h2: { hugePages: { '2M': 256 } }, h3: { hugePages: { '2M': 255 } } },
  )
  const found = reasons(cluster, { ...web, memoryBytes })
  assert.equal(found['h2'], '')
  assert.match(found['h3'] ?? '', /255 of memory\/huge-pages-2m free, 256 are needed/)
})

test("a processor of a guest's own is nobody else's", () => {
  const { cluster, web } = clusterWith({ dedicatedCpus: true }, { h2: { cpuCount: 4 }, h3: { cpuCount: 4 } })
  const busy = cluster.guest('busy', { cpus: 3, platform: { dedicatedCpus: true } })
  cluster.grant(busy, 'h2')
  const found = reasons(cluster, { ...web, cpus: 2 })
  assert.equal(found['h3'], '')
  assert.notEqual(found['h2'], '')
})
