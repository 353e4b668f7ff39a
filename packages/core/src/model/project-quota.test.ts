import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { Backup } from './backup.ts'
import type { Guest } from './guest.ts'
import type { GuestId, HostId, VolumeId } from './ids.ts'
import { growingProjects, NO_USAGE, QUOTA_MEASURES, quotaBreaches, usageByProject, usageOf } from './project-quota.ts'
import type { Snapshot } from './snapshot.ts'
import type { Volume } from './volume.ts'

const GIB = 2 ** 30

type Counted = Parameters<typeof usageByProject>[0]

function records() {
  return {
    guests: new Map<GuestId, never>(),
    volumes: new Map<VolumeId, never>(),
    snapshots: new Map<string, never>(),
    backups: new Map<string, never>(),
  }
}

function put<Key>(map: Map<Key, never>, key: Key, value: unknown): void {
  map.set(key, { value, revision: 1n } as never)
}

function guest(id: string, more: Partial<Guest> = {}): Guest {
  const cluster = new ClusterFixture(1)
  return { ...cluster.guest('x', { memoryBytes: GIB, cpus: 2 }), id: id as GuestId, ...more }
}

function volume(id: string, of: string, more: object = {}): Volume {
  const replica = (host: string) => ({ host: host as HostId, pool: 'p', state: 'in-sync' as const })
  return {
    ...{ id: id as VolumeId, guest: of as GuestId, name: 'disk0', sizeBytes: GIB, ready: true, syncPoint: 'sp' },
    replicas: [replica('h1'), replica('h2')],
    ...more,
  }
}

test('each replica of a disk counts, at the size that it is to have, but not one that takes the place of another', () => {
  const state = records()
  put(state.volumes, 'v1' as VolumeId, volume('v1', 'gone', { project: 'shop' }))
  assert.equal(usageOf(state, 'shop').diskBytes, 2 * GIB)
  put(state.volumes, 'v1' as VolumeId, volume('v1', 'gone', { project: 'shop', growTo: 3 * GIB }))
  assert.equal(usageOf(state, 'shop').diskBytes, 6 * GIB)
  const move = { to: 'h3', from: 'h1', since: 0 }
  const incoming = { host: 'h1', pool: 'q', state: 'syncing' }
  const within = { to: 'h1', from: 'h1', incoming, since: 0 }
  put(state.volumes, 'v1' as VolumeId, volume('v1', 'gone', { project: 'shop', move: within }))
  assert.equal(usageOf(state, 'shop').diskBytes, 2 * GIB)
  const replicas = ['h1', 'h2', 'h3'].map((host) => ({ host, pool: 'p', state: 'in-sync' }))
  put(state.volumes, 'v1' as VolumeId, volume('v1', 'gone', { project: 'shop', replicas, move }))
  assert.equal(usageOf(state, 'shop').diskBytes, 2 * GIB)
  put(
    state.volumes,
    'v1' as VolumeId,
    volume('v1', 'gone', { project: 'shop', replicas, move: { to: 'h3', since: 0 } }),
  )
  assert.equal(usageOf(state, 'shop').diskBytes, 3 * GIB)
})

test('a running guest holds what it has not given back yet', () => {
  const state = records()
  put(state.guests, 'g' as GuestId, guest('g', { memoryBytes: GIB, cpus: 1, holds: { memoryBytes: 2 * GIB, cpus: 4 } }))
  assert.deepEqual({ ...usageOf(state, 'default') }, { ...NO_USAGE, guests: 1, cpus: 4, memoryBytes: 2 * GIB })
})

test('a limit refuses what goes beyond it, and never what makes it less', () => {
  const held = { ...NO_USAGE, guests: 5, cpus: 4 }
  assert.deepEqual(quotaBreaches({ guests: 5 }, held, { ...held, guests: 6 }), [
    { measure: 'guests', held: 5, wanted: 1, limit: 5 },
  ])
  assert.deepEqual(quotaBreaches({ guests: 3 }, held, { ...held, guests: 4 }), [])
  assert.deepEqual(quotaBreaches({ guests: 3 }, held, { ...held, cpus: 8 }), [])
  assert.deepEqual(quotaBreaches({}, held, { ...held, guests: 600 }), [])
})

const operation = fc.record({
  kind: fc.constantFrom('guest', 'volume', 'snapshot', 'backup', 'forget', 'delete', 'assign'),
  id: fc.integer({ min: 0, max: 5 }),
  project: fc.constantFrom('default', 'shop', 'lab'),
  size: fc.integer({ min: 1, max: 8 }),
})

test('what projects hold is the sum over their records, whatever came and went, and nobody grows unseen', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const state = records()
      for (const { kind, id, project, size } of operations) {
        const before: Counted = {
          ...{ guests: new Map(state.guests), volumes: new Map(state.volumes), snapshots: new Map(state.snapshots) },
          backups: new Map(state.backups),
        }
        const key = `g${id}` as GuestId
        const known = (state.guests.get(key) as { value: Guest } | undefined)?.value
        if (kind === 'guest') put(state.guests, key, guest(key, { project, cpus: size, memoryBytes: size * GIB }))
        if (kind === 'volume')
          put(state.volumes, `v${id}` as VolumeId, volume(`v${id}`, key, { sizeBytes: size * GIB, project }))
        if (kind === 'snapshot') put(state.snapshots, `${key}/s${size}`, { guest: key } as Snapshot)
        if (kind === 'backup') put(state.backups, `b${size}`, { guest: key, project } as unknown as Backup)
        if (kind === 'forget') state.backups.delete(`b${size}`)
        if (kind === 'delete') state.guests.delete(key)
        if (kind === 'assign' && known) put(state.guests, key, { ...known, project })
        const growing = growingProjects(before, state)
        for (const name of ['default', 'shop', 'lab']) {
          const [was, is] = [countedAnew(before, name), countedAnew(state, name)]
          assert.deepEqual({ ...usageOf(state, name) }, is)
          assert.equal(
            growing.includes(name),
            QUOTA_MEASURES.some((measure) => is[measure] > was[measure]),
          )
        }
      }
    }),
  )
})

/** Said in another way: one project and one record at a time. */
function countedAnew(state: Counted, project: string): Record<(typeof QUOTA_MEASURES)[number], number> {
  const guests = [...state.guests.values()].map(({ value }) => value)
  const own = guests.filter((each) => (each.project ?? 'default') === project)
  const ownerOf = (id: GuestId) => guests.find((each) => each.id === id)
  const volumes = [...state.volumes.values()]
    .map(({ value }) => value)
    .filter((each) => ((ownerOf(each.guest) ?? each).project ?? 'default') === project)
  const snapshots = [...state.snapshots.values()].filter(
    ({ value }) => (ownerOf(value.guest)?.project ?? 'default') === project,
  )
  const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0)
  return {
    guests: own.length,
    cpus: sum(own.map(({ cpus }) => cpus)),
    memoryBytes: sum(own.map(({ memoryBytes }) => memoryBytes)),
    diskBytes: sum(volumes.map(({ sizeBytes, replicas }) => sizeBytes * replicas.length)),
    snapshots: snapshots.length,
    backups: [...state.backups.values()].filter(({ value }) => value.project === project).length,
    addresses: 0,
  }
}
