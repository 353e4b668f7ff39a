import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { failure } from '../errors.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { GuestEvent } from '../ports/guest-host.ts'
import type { StoreEntry, Transaction } from '../ports/store.ts'
import { fail, ok } from '../result.ts'
import type { Arrivals } from './arrivals.ts'
import { GuestRun } from './guest-run.ts'
import type { HostContext } from './host-context.ts'

/** Starts a guest with a disk on h1; `event` comes before the start is known to have succeeded. Returns what was done. */
async function startWith(event: Pick<GuestEvent, 'kind'> & Record<string, unknown>): Promise<readonly string[]> {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h1'])
  const grant = cluster.grant(guest, 'h1')
  const records = new Map<string, StoreEntry>()
  const put = (key: string, value: string) =>
    records.set(key, { key, value, createRevision: 1n, modRevision: BigInt(records.size + 1) })
  put(KEYS.grant(guest.id), JSON.stringify(grant))
  put(KEYS.volume(volume.id), JSON.stringify(volume))
  const done: string[] = []
  const note = (what: string) => async () => {
    done.push(what)
    return ok()
  }
  const context = {
    self: 'h1',
    mirror: { state: cluster.state, loaded: true, unreported: new Map() },
    store: {
      get: async (key: string) => ok(records.get(key)),
      transact: async ({ writes }: Transaction) => {
        for (const write of writes) if (write.kind === 'put') put(write.key, write.value)
        return ok({ committed: true, revision: 1n })
      },
    },
    volumesOn: () => ({
      exportToGuest: async () =>
        ok({ exportName: 'e', loopback: '127.0.0.1', port: 1, bitmapIsNew: false, revoked: [] }),
      inspect: async () => ok({ exports: [] }),
    }),
    legWatch: { watch: () => () => undefined },
    fence: { view: () => ({ guards: true }) },
    hostDevices: { settle: () => undefined },
    network: { removeTaps: async () => ok() },
    probe: { forget: () => undefined },
    guests: {
      expect: () => () => undefined,
      start: async () => {
        run.onEvent({ guest: guest.id, epoch: 1, volume: volume.id, reason: 'it failed', ...event } as GuestEvent)
        return ok({ pid: 7 })
      },
      yankLeg: note('yank'),
      pause: note('pause'),
      kill: note('kill'),
    },
    events: { tell: () => undefined },
    clock: { monotonicMs: () => 0, wallMs: () => 0, sleep: async () => undefined },
    log: { error: assert.fail, warn: assert.fail },
  } as unknown as HostContext
  const run = new GuestRun(context, { take: () => undefined } as unknown as Arrivals, guest.id)
  run.look()
  for (let turns = 0; turns < 10; turns++) await new Promise<void>((resolve) => setImmediate(resolve))
  const { state } = JSON.parse(records.get(KEYS.grant(guest.id))!.value) as typeof grant
  return [...done, state]
}

test('QEMU that ends before the agent knows that it has started: the grant is given back', async () => {
  assert.deepEqual(await startWith({ kind: 'exited', cause: 'killed' }), ['kill', 'released'])
})

test("a disk that fails at QEMU's first breath is a failed disk", async () => {
  const done = await startWith({ kind: 'io-error', hosts: ['h1'] })
  assert.deepEqual(
    done.filter((step) => step !== 'yank'),
    ['pause', 'kill', 'released'],
  )
})

test('a guest whose source is lost before all of it has come is given back at once', async () => {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h2', 'h3'])
  const grant = cluster.grant(guest, 'h2', { epoch: 2, cameFrom: 'h1' as HostId })
  cluster.lose('h1')
  const records = new Map([
    [KEYS.grant(guest.id), JSON.stringify(grant)],
    [KEYS.volume(volume.id), JSON.stringify(volume)],
  ])
  const killed: string[] = []
  let streamEnds: () => void = () => undefined
  const context = {
    self: 'h2',
    mirror: { state: cluster.state, loaded: true, unreported: new Map() },
    store: {
      get: async (key: string) => {
        const value = records.get(key)
        return ok(value === undefined ? undefined : { key, value, createRevision: 1n, modRevision: 1n })
      },
      transact: async ({ writes }: Transaction) => {
        for (const write of writes) if (write.kind === 'put') records.set(write.key, write.value)
        return ok({ committed: true, revision: 1n })
      },
    },
    legWatch: { watch: () => () => undefined },
    network: { removeTaps: async () => ok() },
    probe: { forget: () => undefined },
    migration: {
      // A connection whose other end has lost its power ends by no word of it.
      awaitArrival: () =>
        new Promise((resolve) => (streamEnds = () => resolve(fail(failure('hypervisor', 'the waiting QEMU gave up'))))),
    },
    guests: {
      expect: () => () => undefined,
      kill: async (id: string) => {
        killed.push(id)
        streamEnds()
        return ok()
      },
    },
    events: { tell: () => undefined },
    clock: { monotonicMs: () => 0, wallMs: () => 0, sleep: async () => undefined },
    log: { error: assert.fail, warn: assert.fail },
  } as unknown as HostContext
  const run = new GuestRun(context, { take: () => [] } as unknown as Arrivals, guest.id)
  run.look()
  for (let turns = 0; turns < 10; turns++) await new Promise<void>((resolve) => setImmediate(resolve))
  const { state } = JSON.parse(records.get(KEYS.grant(guest.id)) ?? '') as typeof grant
  assert.deepEqual([killed, state], [[guest.id], 'released'])
})
