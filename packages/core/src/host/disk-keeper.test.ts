import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../errors.ts'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { Leg } from '../ports/guest-host.ts'
import type { LegHealth } from '../ports/leg-watch.ts'
import { fail, ok, type Result } from '../result.ts'
import { DiskKeeper, type DiskKeeperOptions } from './disk-keeper.ts'

const SYNC_POINT_IS_OLD_MS = 10_000

test('a leg that hangs is freed although the flush that moves the sync point waits for it', async () => {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const done: string[] = []
  let nowMs = 0
  let endFlush: (result: Result<void>) => void = () => assert.fail('nothing is flushed')
  const hanging = new Map<string, (health: LegHealth) => void>()
  const context = {
    mirror: { state: cluster.state },
    clock: { monotonicMs: () => nowMs, wallMs: () => 0 },
    volumesOn: () => ({
      dirtyBytes: async () => ok(1 << 30),
      addBitmap: async () => ok(),
    }),
    random: { uuid: () => 'sp-2' },
    legWatch: {
      watch: ({ path }: { readonly path: string }, onChange: (health: LegHealth) => void) => {
        hanging.set(path, onChange)
        return () => undefined
      },
    },
    guests: {
      drainAndFlush: () => {
        done.push('flush')
        return new Promise<Result<void>>((resolve) => (endFlush = resolve))
      },
      // What QEMU does: requests in flight on the leg fail at once, and so does the flush.
      yankLeg: async () => {
        endFlush(fail(failure('storage', 'The disk could not be flushed')))
        return ok()
      },
      pause: async () => ok(),
      dropLeg: async (_guest: string, _volume: string, host: string) => {
        done.push(`drop ${host}`)
        return ok()
      },
      resume: async () => ok(),
    },
    events: { tell: () => undefined },
    log: { warn: assert.fail },
  }
  const legs = ['h1', 'h2'].map((host): Leg => ({ host, endpoint: { kind: 'unix', path: host }, exportName: 'e' }))
  const keeper = new DiskKeeper({
    context,
    guest: guest.id,
    name: guest.name,
    epoch: 1,
    records: { markStale: async () => ({ kind: 'recorded', value: volume }) },
    disks: [{ volume: volume.id, sizeBytes: volume.sizeBytes, legs, width: 2 }],
    onEnd: assert.fail,
    onPhase: () => undefined,
  } as unknown as DiskKeeperOptions)
  nowMs = SYNC_POINT_IS_OLD_MS
  keeper.tick()
  await new Promise<void>((resolve) => setImmediate(resolve))
  hanging.get('h2')?.('unresponsive')
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.deepEqual(done, ['flush', 'drop h2'])
})

/** Of an idle guest with legs on h1 and h2. `served`: what the host of a leg says of its exports. */
function idleGuest(served: (host: string) => Result<{ readonly exports: readonly string[] }>) {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const dropped: string[] = []
  const heard = new Map<string, (health: LegHealth) => void>()
  const context = {
    mirror: { state: cluster.state },
    clock: { monotonicMs: () => 0, wallMs: () => 0, sleep: async () => undefined },
    volumesOn: (host: string) => ({ inspect: async () => served(host) }),
    legWatch: {
      watch: ({ path }: { readonly path: string }, onChange: (health: LegHealth) => void) => {
        heard.set(path, onChange)
        return () => undefined
      },
    },
    guests: {
      yankLeg: async () => ok(),
      pause: async () => ok(),
      dropLeg: async (_guest: string, _volume: string, host: string) => {
        dropped.push(host)
        return ok()
      },
      resume: async () => ok(),
    },
    events: { tell: () => undefined },
    log: { warn: assert.fail },
  }
  const legs = ['h1', 'h2'].map((host): Leg => ({ host, endpoint: { kind: 'unix', path: host }, exportName: 'e' }))
  new DiskKeeper({
    context,
    guest: guest.id,
    name: guest.name,
    epoch: 1,
    records: { markStale: async () => ({ kind: 'recorded', value: volume }) },
    disks: [{ volume: volume.id, sizeBytes: volume.sizeBytes, legs, width: 2 }],
    onEnd: assert.fail,
    onPhase: () => undefined,
  } as unknown as DiskKeeperOptions)
  return {
    dropped,
    hear: async (host: string, ...all: readonly LegHealth[]) => {
      for (const health of all) heard.get(host)?.(health)
      await new Promise<void>((resolve) => setImmediate(resolve))
    },
  }
}

test('a server that is back on a new connection and has forgotten the leg is a loss, also of a guest that writes nothing', async () => {
  const { dropped, hear } = idleGuest((host) => ok({ exports: host === 'h2' ? [] : ['e'] }))
  await hear('h1', 'alive', 'alive')
  await hear('h2', 'alive')
  assert.deepEqual(dropped, [])
  await hear('h2', 'alive')
  assert.deepEqual(dropped, ['h2'])
})

test('a leg whose host does not say whether it serves it stays', async () => {
  const { dropped, hear } = idleGuest(() => fail(failure('host_unreachable', 'no answer')))
  await hear('h2', 'alive', 'alive')
  assert.deepEqual(dropped, [])
})

test('a leg that begins by another network than the preferred one is told of, once', () => {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const host = cluster.state.hosts.get(volume.replicas[1]!.host)!
  const addresses = { lan: '192.0.2.2', san: '10.0.1.2', ran: '10.0.2.2' }
  const known = (redirected?: 'ran') => ({
    ...cluster.state,
    hosts: new Map([[host.value.id, { ...host, value: { ...host.value, addresses } }]]),
    volumes: new Map([
      [
        volume.id,
        { value: { ...volume, replicas: volume.replicas.map((r) => (redirected ? { ...r, redirected } : r)) } },
      ],
    ]),
  })
  const toldOf = (state: unknown, address: string) => {
    const told: unknown[] = []
    const context = {
      mirror: { state },
      clock: { monotonicMs: () => 0 },
      legWatch: { watch: () => () => undefined },
      events: { tell: ({ kind, message }: { kind: string; message: string }) => told.push(`${kind}: ${message}`) },
    }
    const leg: Leg = { host: 'h2', endpoint: { kind: 'tcp', address, port: 10_809 }, exportName: 'e' }
    new DiskKeeper({
      ...{ context, guest: guest.id, name: guest.name, epoch: 1, onEnd: assert.fail, onPhase: () => undefined },
      disks: [{ volume: volume.id, sizeBytes: volume.sizeBytes, legs: [leg], width: 2 }],
    } as unknown as DiskKeeperOptions)
    return told
  }
  assert.deepEqual(toldOf(known(), addresses.san), [])
  assert.deepEqual(toldOf(known(), addresses.ran), [
    'leg.redirected: web reaches its replica on h2 by the RAN now: the SAN did not answer when it was opened',
  ])
  // An agent that takes over from another one finds it in the record.
  assert.deepEqual(toldOf(known('ran'), addresses.ran), [])
})
