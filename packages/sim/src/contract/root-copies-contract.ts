/** The behaviour that every implementation of the port `OwnRootCopies` shows, between two hosts, as tests. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { CopyOrder, OwnRootCopies } from '@stead/core/ports/root-copies.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import type { Result } from '@stead/core/result.ts'

const TIMEOUT_MS = 60_000
export const ROOT_BYTES = 32 * 1024 * 1024
const MUCH = 'm'.repeat(2 * 1024 * 1024)

export interface RootSide {
  readonly host: HostId
  readonly roots: OwnRootCopies
  readonly volumes: VolumeHost
  /** Into the root, at one of several places. */
  readonly write: (volume: VolumeId, place: number, text: string) => Promise<void>
  /** From the root. */
  readonly read: (volume: VolumeId, place: number) => Promise<string>
}

export interface RootCopiesFixture {
  readonly pool: string
  readonly home: RootSide
  readonly away: RootSide
  /** What the cluster's records say from now on, and of which run. */
  readonly record: (volume: Volume, epoch: number) => void
  /** The next transfer ends before all has come. */
  readonly breakNext: () => void
  /** As an agent does that is killed while it receives. */
  readonly leaveUnfinished: (side: RootSide, volume: VolumeId, at: number) => Promise<void>
  readonly close: () => Promise<void>
}

interface Subject extends RootCopiesFixture {
  readonly volume: Volume
  /** The record with a copy wanted on the other host. */
  readonly wanted: Volume
  readonly order: (at: number, base?: number) => CopyOrder
}

export function rootCopiesContract(name: string, make: () => Promise<RootCopiesFixture>): void {
  const contract = (title: string, body: (subject: Subject) => Promise<void>) =>
    void test(`${name}: ${title}`, { timeout: TIMEOUT_MS }, async () => {
      const fixture = await make()
      try {
        const { home, away, pool, record } = fixture
        const id = randomUUID().replaceAll('-', '') as VolumeId
        const volume: Volume = {
          ...{
            id,
            guest: 'g' as Volume['guest'],
            name: 'disk0',
            form: 'subvolume',
            sizeBytes: ROOT_BYTES,
            ready: true,
          },
          ...{ replicas: [{ host: home.host, pool, state: 'in-sync' }], syncPoint: 'sp' },
        }
        const wanted: Volume = { ...volume, copies: [{ host: away.host, pool, since: 0 }] }
        record(wanted, 1)
        value(await home.volumes.createReplica({ volume: id, pool, sizeBytes: ROOT_BYTES, form: 'subvolume' }))
        value(await open(home, volume, pool, 1))
        const from = { host: home.host, pool }
        const order = (at: number, base?: number): CopyOrder => ({
          ...{ volume: id, pool, at, sizeBytes: ROOT_BYTES, from },
          ...(base === undefined ? {} : { base }),
        })
        await body({ ...fixture, volume, wanted, order })
      } finally {
        await fixture.close()
      }
    })

  contract(
    'a copy is the root as it was when it was cut, and becomes the root where the record says so',
    async (it) => {
      const { home, away, pool, volume, order, record } = it
      await home.write(volume.id, 0, 'before')
      value(await home.roots.cut(volume.id, pool, 100))
      await home.write(volume.id, 0, 'after')
      value(await away.roots.receive(order(100)))
      assert.deepEqual(value(await away.roots.held(volume.id, pool)), [100])
      // As long as the record does not say so nobody opens it.
      const early = await open(away, volume, pool, 1)
      assert.equal(early.ok ? '' : early.error.code, 'replica_not_current')
      record({ ...volume, replicas: [{ host: away.host, pool, state: 'in-sync' }] }, 2)
      value(await open(away, volume, pool, 2))
      assert.equal(await away.read(volume.id, 0), 'before')
      assert.deepEqual(value(await away.roots.held(volume.id, pool)), [])
      await away.write(volume.id, 0, 'goes on')
      value(await open(away, volume, pool, 2))
      assert.equal(await away.read(volume.id, 0), 'goes on')
    },
  )

  contract('with a base that both have only what has changed is sent; the newest counts', async (it) => {
    const { home, away, pool, volume, order, record } = it
    await home.write(volume.id, 1, MUCH)
    value(await home.roots.cut(volume.id, pool, 100))
    const first = value(await away.roots.receive(order(100)))
    await home.write(volume.id, 0, 'little')
    value(await home.roots.cut(volume.id, pool, 200))
    const second = value(await away.roots.receive(order(200, 100)))
    assert.ok(first.bytes >= MUCH.length && second.bytes < first.bytes / 4, `${first.bytes}, then ${second.bytes}`)
    record({ ...volume, replicas: [{ host: away.host, pool, state: 'in-sync' }] }, 2)
    value(await open(away, volume, pool, 2))
    assert.equal(await away.read(volume.id, 0), 'little')
    assert.equal(await away.read(volume.id, 1), MUCH)
  })

  contract('cutting and receiving again what is there is harmless', async ({ home, away, pool, volume, order }) => {
    await home.write(volume.id, 0, 'one')
    value(await home.roots.cut(volume.id, pool, 100))
    await home.write(volume.id, 0, 'two')
    value(await home.roots.cut(volume.id, pool, 100))
    value(await away.roots.receive(order(100)))
    assert.equal(value(await away.roots.receive(order(100))).bytes, 0)
  })

  contract('what the record does not want, or not from there, is refused', async (it) => {
    const { home, away, pool, volume, wanted, order, record } = it
    value(await home.roots.cut(volume.id, pool, 100))
    const elsewhere: Volume = { ...wanted, replicas: [{ host: 'h9' as HostId, pool, state: 'in-sync' }] }
    for (const refusing of [volume, elsewhere]) {
      record(refusing, 1)
      refused(await away.roots.receive(order(100)), 'conflict')
    }
    assert.deepEqual(value(await away.roots.held(volume.id, pool)), [])
  })

  contract('a root that is still there is not covered by a copy', async (it) => {
    const { home, away, pool, volume, wanted, order, record } = it
    const other: Volume = { ...volume, replicas: [{ host: away.host, pool, state: 'in-sync' }] }
    record(other, 1)
    value(await away.volumes.createReplica({ volume: volume.id, pool, sizeBytes: ROOT_BYTES, form: 'subvolume' }))
    record(wanted, 1)
    value(await home.roots.cut(volume.id, pool, 100))
    refused(await away.roots.receive(order(100)), 'conflict')
  })

  contract('of one that broke off, lacks its base or finds no room nothing is held', async (it) => {
    const { home, away, pool, volume, order, breakNext } = it
    await home.write(volume.id, 1, MUCH)
    value(await home.roots.cut(volume.id, pool, 100))
    value(await home.roots.cut(volume.id, pool, 200))
    breakNext()
    const broken = await away.roots.receive(order(100))
    assert.ok(!broken.ok)
    refused(await away.roots.receive(order(200, 100)), undefined)
    refused(await away.roots.receive(order(300)), 'not_found')
    refused(await away.roots.receive({ ...order(100), sizeBytes: 2 ** 50 }), 'no_capacity')
    assert.deepEqual(value(await away.roots.held(volume.id, pool)), [])
    value(await away.roots.receive(order(100)))
    assert.deepEqual(value(await away.roots.held(volume.id, pool)), [100])
  })

  contract('only what is named is kept, and nothing once the volume is removed', async (it) => {
    const { home, away, pool, volume, order } = it
    for (const at of [100, 200, 300]) value(await home.roots.cut(volume.id, pool, at))
    value(await away.roots.receive(order(100)))
    value(await away.roots.receive(order(200, 100)))
    value(await home.roots.keepOnly(volume.id, pool, [200]))
    value(await away.roots.keepOnly(volume.id, pool, [200]))
    for (const { roots } of [home, away]) assert.deepEqual(value(await roots.held(volume.id, pool)), [200])
    for (const { volumes, roots } of [home, away]) {
      value(await volumes.removeReplica(volume.id, pool))
      assert.deepEqual(value(await roots.held(volume.id, pool)), [])
    }
    const gone = await home.volumes.inspect(volume.id, pool)
    assert.equal(gone.ok ? '' : gone.error.code, 'not_found')
  })

  contract('a root that has come and was never opened is kept, cut and sent like any other', async (it) => {
    const { home, away, pool, volume, order, record } = it
    await home.write(volume.id, 0, 'at rest')
    value(await home.roots.cut(volume.id, pool, 100))
    value(await away.roots.receive(order(100)))
    const moved: Volume = { ...volume, replicas: [{ host: away.host, pool, state: 'in-sync' }] }
    value(await home.volumes.removeReplica(volume.id, pool))
    record({ ...moved, copies: [{ host: home.host, pool, since: 0 }] }, 2)
    value(await away.roots.keepOnly(volume.id, pool, []))
    assert.deepEqual(value(await away.roots.held(volume.id, pool)), [100])
    value(await away.roots.cut(volume.id, pool, 200))
    value(await home.roots.receive({ ...order(200), from: { host: away.host, pool } }))
    value(await away.roots.keepOnly(volume.id, pool, [200]))
    for (const { roots } of [home, away]) assert.deepEqual(value(await roots.held(volume.id, pool)), [200])
    value(await open(away, volume, pool, 2))
    assert.equal(await away.read(volume.id, 0), 'at rest')
    record({ ...volume, replicas: [{ host: home.host, pool, state: 'in-sync' }] }, 3)
    value(await open(home, volume, pool, 3))
    assert.equal(await home.read(volume.id, 0), 'at rest')
  })

  contract('a clone begins as the root is, and goes its own way', async ({ home, pool, volume }) => {
    const spec = { pool, sizeBytes: ROOT_BYTES, form: 'subvolume', cloneOf: volume.id } as const
    const clone = `${volume.id.slice(0, 20)}clone` as VolumeId
    await home.write(volume.id, 0, 'before')
    for (let time = 0; time < 2; time++) value(await home.volumes.createReplica({ volume: clone, ...spec }))
    await home.write(volume.id, 0, 'after')
    await home.write(clone, 1, 'own')
    assert.deepEqual([await home.read(clone, 0), await home.read(volume.id, 0)], ['before', 'after'])
    value(await home.volumes.removeReplica(volume.id, pool))
    assert.deepEqual([await home.read(clone, 0), await home.read(clone, 1)], ['before', 'own'])
    const ofNothing = { ...spec, volume: 'other' as VolumeId, cloneOf: 'nothing' as VolumeId }
    refused(await home.volumes.createReplica(ofNothing), 'not_found')
  })

  contract('what never became whole is told and dropped; what is whole, or beside a root, is not', async (it) => {
    const { home, away, pool, volume, order, leaveUnfinished } = it
    const deleted = `${volume.id.slice(0, 20)}deleted` as VolumeId
    await leaveUnfinished(away, deleted, 100)
    await leaveUnfinished(home, volume.id, 50)
    assert.deepEqual([home.roots.unfinished(), away.roots.unfinished()], [[], [{ volume: deleted, pool }]])
    for (let time = 0; time < 2; time++) value(await away.roots.dropUnfinished({ volume: deleted, pool }))
    assert.deepEqual(away.roots.unfinished(), [])
    value(await home.roots.cut(volume.id, pool, 100))
    value(await away.roots.receive(order(100)))
    await home.write(volume.id, 0, 'goes on')
    for (const { roots } of [home, away]) {
      assert.deepEqual(roots.unfinished(), [])
      value(await roots.dropUnfinished({ volume: volume.id, pool }))
      assert.deepEqual(value(await roots.held(volume.id, pool)), [100])
    }
    assert.equal(await home.read(volume.id, 0), 'goes on')
  })

  contract('a root is set aside under another name, with nothing left of the first', async (it) => {
    const { home, pool, volume } = it
    const aside = `${volume.id.slice(0, 20)}aside` as VolumeId
    await home.write(volume.id, 0, 'given up')
    value(await home.roots.cut(volume.id, pool, 100))
    for (let time = 0; time < 2; time++) value(await home.roots.takeOver(volume.id, aside, pool))
    assert.equal(await home.read(aside, 0), 'given up')
    assert.deepEqual(value(await home.roots.held(volume.id, pool)), [])
    const gone = await home.volumes.inspect(volume.id, pool)
    assert.equal(gone.ok ? '' : gone.error.code, 'not_found')
    assert.equal(value(await home.volumes.inspect(aside, pool)).sizeBytes, ROOT_BYTES)
    refused(await home.roots.takeOver('nothing' as VolumeId, 'other' as VolumeId, pool), 'not_found')
  })

  contract('so is one that has come and was never opened', async ({ home, away, pool, volume, order }) => {
    const aside = `${volume.id.slice(0, 20)}aside` as VolumeId
    await home.write(volume.id, 0, 'at rest')
    value(await home.roots.cut(volume.id, pool, 100))
    value(await away.roots.receive(order(100)))
    for (let time = 0; time < 2; time++) value(await away.roots.takeOver(volume.id, aside, pool))
    assert.equal(await away.read(aside, 0), 'at rest')
    await away.write(aside, 0, 'can be written')
    assert.deepEqual(value(await away.roots.held(volume.id, pool)), [])
    assert.equal(value(await away.volumes.inspect(aside, pool)).sizeBytes, ROOT_BYTES)
  })
}

function open({ volumes }: RootSide, volume: Volume, pool: string, epoch: number) {
  return volumes.exportToGuest({
    ...{ volume: volume.id, pool, epoch, syncPoint: volume.syncPoint, rejoining: false, sizeBytes: ROOT_BYTES },
  })
}

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}

function refused(result: Result<unknown>, code: string | undefined): void {
  assert.ok(!result.ok, 'it was not refused')
  if (code !== undefined) assert.equal(result.error.code, code, result.error.message)
}
