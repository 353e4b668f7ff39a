import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../errors.ts'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { GuestDisk, Leg } from '../ports/guest-host.ts'
import { fail, ok, type Result } from '../result.ts'
import { DiskKeeper, type DiskKeeperOptions } from './disk-keeper.ts'

const GIB = 2 ** 30

interface Given {
  /** Hosts whose legs the disk has when it begins; none: an earlier agent has left it held. */
  readonly legs?: readonly string[]
  /** Hosts that do not serve their replica with its new size. */
  readonly refusing?: readonly string[]
  readonly withoutRoom?: boolean
  readonly unflushed?: boolean
}

/** Enlarges a disk with replicas on h1 (where the guest runs) and h2. Returns what was done, in order. */
async function grow({ legs = ['h1', 'h2'], refusing = [], withoutRoom, unflushed }: Given) {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const done: string[] = []
  const note = (what: string, answer: Result<unknown> = ok()) => {
    done.push(what)
    return answer
  }
  const context = {
    self: 'h1',
    mirror: { state: cluster.state },
    clock: { monotonicMs: () => 0, wallMs: () => 0, sleep: () => new Promise(() => undefined) },
    volumesOn: (host: string) => ({
      inspect: async () => ok({ exports: ['e'] }),
      reserveReplica: async () => (withoutRoom ? fail(failure('no_capacity', 'full')) : ok()),
      serveAnew: async () =>
        refusing.includes(host)
          ? note(`${host} refuses`, fail(failure('storage', 'it cannot')))
          : note(`serve ${host}`, ok({ exportName: 'e', loopback: host, port: 1 })),
    }),
    legWatch: { watch: () => () => undefined, ask: async () => 'alive' },
    fence: { view: () => undefined },
    guests: {
      pause: async () => note('pause'),
      holdDisk: async () => note('hold', unflushed ? fail(failure('storage', 'not flushed')) : ok()),
      growDisk: async (_: string, disk: GuestDisk) =>
        note(`grow to ${disk.sizeBytes / GIB} on ${disk.legs.map(({ host }) => host).join(' ')}`),
      resume: async () => note('resume'),
    },
    events: { tell: () => undefined },
    log: { info: () => undefined },
  }
  const leg = (host: string): Leg => ({ host, endpoint: { kind: 'unix', path: host }, exportName: 'e' })
  const keeper = new DiskKeeper({
    context,
    guest: guest.id,
    name: guest.name,
    epoch: 1,
    records: {
      markStale: async (_: string, host: string) => {
        done.push(`record ${host} stale`)
        return { kind: 'recorded', value: volume }
      },
    },
    disks: [{ volume: volume.id, sizeBytes: volume.sizeBytes, legs: legs.map(leg), width: 2 }],
    onEnd: (reason: string) => done.push(`end: ${reason}`),
    onPhase: () => undefined,
  } as unknown as DiskKeeperOptions)
  const grown = await keeper.grow({ ...volume, sizeBytes: 2 * GIB })
  keeper.end()
  return { done, ok: grown.ok, legs: keeper.legsOf(volume.id) }
}

test('the disk stands on its gate before anybody ends an export', async () => {
  const { done, ok: isGrown } = await grow({})
  assert.deepEqual(done, ['pause', 'hold', 'serve h1', 'serve h2', 'grow to 2 on h1 h2', 'resume'])
  assert(isGrown)
})

test('a replica that is not served any more is recorded stale before the guest goes on', async () => {
  const { done, legs } = await grow({ refusing: ['h2'] })
  assert.deepEqual(done.slice(2), ['serve h1', 'h2 refuses', 'record h2 stale', 'grow to 2 on h1', 'resume'])
  assert.deepEqual(legs, ['h1'])
})

test('without any replica left the guest does not go on, and none is called stale', async () => {
  const { done, ok: isGrown } = await grow({ refusing: ['h1', 'h2'] })
  assert.deepEqual(done.slice(2, 4), ['h1 refuses', 'h2 refuses'])
  assert.match(done[4] ?? '', /^end: /)
  assert.equal(done.length, 5)
  assert(!isGrown)
})

test('no room: the guest is not even paused', async () => {
  assert.deepEqual((await grow({ withoutRoom: true })).done, [])
})

test('a disk that cannot be flushed stays as it is, and the guest goes on', async () => {
  const { done, legs, ok: isGrown } = await grow({ unflushed: true })
  assert.deepEqual(done, ['pause', 'hold', 'resume'])
  assert.deepEqual(legs, ['h1', 'h2'])
  assert(!isGrown)
})

test('a disk that an earlier agent has left held gets its legs from the record', async () => {
  const { done, legs } = await grow({ legs: [] })
  assert.deepEqual(done, ['pause', 'hold', 'serve h1', 'serve h2', 'grow to 2 on h1 h2', 'resume'])
  assert.deepEqual(legs, ['h1', 'h2'])
})
