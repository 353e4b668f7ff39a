/** The behaviour that every implementation of the port `ReplicaSnapshots` shows, as tests. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { HeldSnapshots } from '@stead/core/ports/replica-snapshots.ts'
import type { Result } from '@stead/core/result.ts'
import type { ExportClient, VolumeHostFixture, VolumeHostSide } from './volume-host-contract.ts'

const BLOCK = 64 * 1024
const SIZE = 8 * 1024 * 1024
const TIMEOUT_MS = 60_000

/** One replica on the source, and what its guest reads and writes. */
interface Subject {
  readonly side: VolumeHostSide
  readonly pool: string
  readonly volume: VolumeId
  readonly guest: ExportClient
}

export function replicaSnapshotsContract(name: string, make: () => Promise<VolumeHostFixture>): void {
  const contract = (title: string, body: (subject: Subject) => Promise<void>) =>
    void test(`${name}: ${title}`, { timeout: TIMEOUT_MS }, async () => {
      const fixture = await make()
      try {
        const volume = randomUUID().replaceAll('-', '') as VolumeId
        const { source: side, pool } = fixture
        value(await side.volumes.createReplica({ volume, pool, sizeBytes: SIZE }))
        await body({ side, pool, volume, guest: await serve(side, volume, pool, 1) })
      } finally {
        await fixture.close()
      }
    })

  contract('a snapshot keeps what was there, and the guest writes on', async (subject) => {
    const { guest, side, volume, pool } = subject
    value(await guest.write(0, pattern(1)))
    const snapshot = await take(subject)
    value(await guest.write(0, pattern(2)))
    value(await guest.write(BLOCK, pattern(3)))
    assert.ok(value(await guest.read(0, BLOCK)).equals(pattern(2)))
    const held = await heldOf(subject)
    assert.deepEqual(
      held?.snapshots.map((each) => each.snapshot),
      [snapshot],
    )
    assert.equal(held?.debtBytes, 0)
    await guest.close()
    const again = await rollBack(subject, snapshot)
    assert.ok(value(await again.read(0, BLOCK)).equals(pattern(1)))
    assert.ok(value(await again.read(BLOCK, BLOCK)).equals(Buffer.alloc(BLOCK)))
    value(await again.write(0, pattern(4)))
    await again.close()
    // The snapshot survives being rolled back to.
    const third = await rollBack(subject, snapshot, 3)
    assert.ok(value(await third.read(0, BLOCK)).equals(pattern(1)))
    await third.close()
    value(await side.volumes.removeReplica(volume, pool))
    assert.equal(await heldOf(subject), undefined)
  })

  contract('of several, each is what it was, whichever others are deleted', async (subject) => {
    const { guest, side, volume, pool } = subject
    const taken: SnapshotId[] = []
    for (let number = 0; number < 4; number++) {
      value(await guest.write(0, pattern(number)))
      value(await guest.write(BLOCK * (number + 1), pattern(number)))
      taken.push(await take(subject))
    }
    value(await guest.write(0, pattern(9)))
    // The first, one in the middle.
    for (const which of [0, 2]) {
      value(await side.volumes.releaseSnapshot(volume, pool, taken[which]!))
      value(await side.volumes.releaseSnapshot(volume, pool, taken[which]!))
    }
    const held = await heldOf(subject)
    assert.equal((held?.debtBytes ?? 0) > 0, held?.method === 'layers')
    value(await side.volumes.mergeLayers(volume, pool))
    assert.ok(value(await guest.read(0, BLOCK)).equals(pattern(9)))
    assert.deepEqual(
      (await heldOf(subject))?.snapshots.map((each) => each.snapshot).toSorted(),
      [taken[1], taken[3]].toSorted(),
    )
    assert.equal((await heldOf(subject))?.debtBytes, 0)
    await guest.close()
    const third = await rollBack(subject, taken[3]!)
    assert.ok(value(await third.read(0, BLOCK)).equals(pattern(3)))
    assert.ok(value(await third.read(BLOCK * 4, BLOCK)).equals(pattern(3)))
    await third.close()
    const first = await rollBack(subject, taken[1]!, 3)
    assert.ok(value(await first.read(0, BLOCK)).equals(pattern(1)))
    assert.ok(value(await first.read(BLOCK * 2, BLOCK)).equals(pattern(1)))
    assert.ok(value(await first.read(BLOCK * 3, BLOCK)).equals(Buffer.alloc(BLOCK)))
    await first.close()
    // What is newer than the target may be gone, wherever that is the only way.
    assert.ok((await heldOf(subject))?.snapshots.some((each) => each.snapshot === taken[1]))
  })

  contract('after the last one is deleted and the guest has stopped, nothing is left of them', async (subject) => {
    const { guest, side, volume, pool } = subject
    value(await guest.write(0, pattern(1)))
    const snapshot = await take(subject)
    value(await guest.write(0, pattern(2)))
    value(await side.volumes.releaseSnapshot(volume, pool, snapshot))
    value(await side.volumes.mergeLayers(volume, pool))
    assert.ok(value(await guest.read(0, BLOCK)).equals(pattern(2)))
    value(await guest.flush())
    await guest.close()
    value(await side.volumes.revokeBelow(volume, pool, 2))
    value(await side.volumes.mergeLayers(volume, pool))
    assert.equal(await heldOf(subject), undefined)
    const again = await serve(side, volume, pool, 2)
    assert.ok(value(await again.read(0, BLOCK)).equals(pattern(2)))
    await again.close()
  })

  contract('only what was prepared can be cut, once', async (subject) => {
    const { guest, side, volume, pool } = subject
    const snapshot = newSnapshot()
    refused(await side.volumes.cutSnapshot(volume, pool, snapshot), 'conflict')
    value(await side.volumes.prepareSnapshot(volume, pool, snapshot))
    value(await side.volumes.prepareSnapshot(volume, pool, snapshot))
    value(await guest.write(0, pattern(1)))
    value(await side.volumes.cutSnapshot(volume, pool, snapshot))
    refused(await side.volumes.cutSnapshot(volume, pool, snapshot), 'conflict')
    value(await side.volumes.sealSnapshot(volume, pool, snapshot))
    value(await side.volumes.sealSnapshot(volume, pool, snapshot))
    await guest.close()
    const again = await rollBack(subject, snapshot)
    assert.ok(value(await again.read(0, BLOCK)).equals(pattern(1)))
    await again.close()
  })

  contract('what was prepared and given up leaves no trace', async (subject) => {
    const { guest, side, volume, pool } = subject
    value(await guest.write(0, pattern(1)))
    const snapshot = newSnapshot()
    value(await side.volumes.prepareSnapshot(volume, pool, snapshot))
    value(await guest.write(BLOCK, pattern(2)))
    value(await side.volumes.releaseSnapshot(volume, pool, snapshot))
    value(await side.volumes.mergeLayers(volume, pool))
    assert.equal(await heldOf(subject), undefined)
    assert.ok(value(await guest.read(0, BLOCK)).equals(pattern(1)))
    assert.ok(value(await guest.read(BLOCK, BLOCK)).equals(pattern(2)))
    refused(await side.volumes.cutSnapshot(volume, pool, snapshot), 'conflict')
    await guest.close()
  })

  contract('bitmaps go on recording through a cut and a merge', async (subject) => {
    const { guest, side, volume, pool } = subject
    value(await guest.write(0, pattern(1)))
    const snapshot = await take(subject)
    value(await guest.write(BLOCK * 5, pattern(1)))
    value(await side.volumes.releaseSnapshot(volume, pool, snapshot))
    value(await side.volumes.mergeLayers(volume, pool))
    value(await guest.write(BLOCK * 7, pattern(1)))
    assert.deepEqual(
      value(await side.volumes.dirtyRanges(volume, pool, 'sp')),
      [0, 5, 7].map((block) => ({ offset: BLOCK * block, length: BLOCK })),
    )
    await guest.close()
  })

  contract('is rolled back only where the record says so', async (subject) => {
    const { guest, side, volume, pool } = subject
    const snapshot = await take(subject)
    refused(await side.volumes.rollBackReplica(volume, pool, snapshot), 'conflict')
    side.record(volume, { epoch: 1, inSync: true, rollBackTo: newSnapshot() })
    refused(await side.volumes.rollBackReplica(volume, pool, snapshot), 'conflict')
    const absent = newSnapshot()
    side.record(volume, { epoch: 1, inSync: true, rollBackTo: absent })
    refused(await side.volumes.rollBackReplica(volume, pool, absent), 'not_found')
    await guest.close()
  })
}

function newSnapshot(): SnapshotId {
  return randomUUID().replaceAll('-', '') as SnapshotId
}

async function take({ side, volume, pool, guest }: Subject): Promise<SnapshotId> {
  const snapshot = newSnapshot()
  value(await side.volumes.prepareSnapshot(volume, pool, snapshot))
  value(await guest.flush())
  value(await side.volumes.cutSnapshot(volume, pool, snapshot))
  value(await side.volumes.sealSnapshot(volume, pool, snapshot))
  return snapshot
}

async function rollBack({ side, volume, pool }: Subject, snapshot: SnapshotId, epoch = 2): Promise<ExportClient> {
  side.record(volume, { epoch, inSync: true, rollBackTo: snapshot })
  value(await side.volumes.rollBackReplica(volume, pool, snapshot))
  assert.deepEqual(value(await side.volumes.inspect(volume, pool)).exports, [])
  return serve(side, volume, pool, epoch)
}

async function serve(side: VolumeHostSide, volume: VolumeId, pool: string, epoch: number): Promise<ExportClient> {
  side.record(volume, { epoch, inSync: true })
  const request = { volume, pool, epoch, syncPoint: 'sp', rejoining: false }
  return value(await side.connect(value(await side.volumes.exportToGuest(request))))
}

async function heldOf({ side, volume }: Subject): Promise<HeldSnapshots | undefined> {
  return value(await side.volumes.heldSnapshots()).find((held) => held.volume === volume)
}

function pattern(seed: number): Buffer {
  return Buffer.alloc(BLOCK, seed + 1)
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, `unexpected failure: ${JSON.stringify(result, undefined, 1)}`)
  return result.value
}

function refused(result: Result<unknown>, code: string): void {
  assert.ok(!result.ok, `expected ${code}, but it succeeded`)
  assert.equal(result.error.code, code, result.error.message)
}
