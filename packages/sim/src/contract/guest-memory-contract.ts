/**
 * What every `GuestMemory` must do, written once. The harness is that of `GuestMigration`, with images that lie on two
 * hosts; its guests write a growing number which they keep in their memory.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { GuestMemory, ImagePlace, WrittenImage } from '@stead/core/ports/guest-memory.ts'
import type { Result } from '@stead/core/result.ts'
import { must } from './guest-host-contract.ts'
import type { GuestMigrationHarness, HostName } from './guest-migration-contract.ts'

export interface GuestMemoryHarness extends GuestMigrationHarness {
  readonly memory: Readonly<Record<HostName, GuestMemory>>
  /** Beside the replicas of the guest's disk, which are made ready for this snapshot; two of them. */
  places(launch: GuestLaunch, snapshot: SnapshotId): Promise<readonly ImagePlace[]>
  /** Changes a little of a sealed image. */
  damage(place: ImagePlace, snapshot: SnapshotId): Promise<void>
}

const SNAPSHOT = 'a1b2c3' as SnapshotId
const BOUND_MS = 20_000
const PAUSE_MS = 20

export function guestMemoryContract(name: string, make: () => Promise<GuestMemoryHarness>): void {
  describe(`GuestMemory contract: ${name}`, () => {
    let harness: GuestMemoryHarness

    beforeEach(async () => {
      harness = await make()
    })
    afterEach(() => harness.close())

    const here = () => harness.memory.here
    const guests = (host: HostName) => harness.hosts[host].guests
    const inTime = () => AbortSignal.timeout(BOUND_MS)

    async function running(): Promise<GuestLaunch> {
      const launch = await harness.guest()
      must(await guests('here').start(launch))
      await harness.untilWriting('here', launch)
      return launch
    }

    async function standingStill(launch: GuestLaunch, snapshot = SNAPSHOT): Promise<readonly ImagePlace[]> {
      const places = await harness.places(launch, snapshot)
      must(await here().begin(launch.guest, snapshot, places))
      must(await here().awaitStandstill(launch.guest, inTime()))
      return places
    }

    /** A guest that goes on, and its image. */
    async function kept(
      launch: GuestLaunch,
      snapshot = SNAPSHOT,
    ): Promise<{ readonly places: readonly ImagePlace[]; readonly image: WrittenImage }> {
      const places = await standingStill(launch, snapshot)
      must(await here().complete(launch.guest))
      must(await guests('here').resume(launch.guest))
      return { places, image: must(await here().seal(launch.guest)) }
    }

    async function assertNobodyWrites(launch: GuestLaunch): Promise<void> {
      const before = harness.written(launch)
      await sleep(PAUSE_MS)
      assert.equal(harness.written(launch), before)
    }

    it('keeps a running guest, which goes on; and brings it back elsewhere, paused and without a boot', async () => {
      const launch = await running()
      const places = await standingStill(launch)
      await assertNobodyWrites(launch)
      must(await here().complete(launch.guest))
      await assertNobodyWrites(launch)
      must(await guests('here').resume(launch.guest))
      const image = must(await here().seal(launch.guest))
      assert.match(image.digest, /^sha256:[0-9a-f]{64}$/)
      assert.ok(image.bytes > 0)
      assert.deepEqual(
        image.hosts,
        places.map(({ host }) => host),
      )
      await harness.untilWriting('here', launch)
      const machine = must(await harness.hosts.here.migration.launchOf(launch.guest))
      must(await guests('here').kill(launch.guest))

      const { disks } = await harness.open(launch, 2)
      await harness.closeBelow(launch, 2)
      const next = { ...machine, disks, epoch: 2 }
      const back = must(await harness.memory.there.restore(next, { ...image, snapshot: SNAPSHOT }, places))
      assert.deepEqual([back.status, back.epoch], ['paused', 2])
      await assertNobodyWrites(launch)
      must(await guests('there').resume(launch.guest))
      await harness.untilWriting('there', next)
      assert.equal(harness.boots('there', launch), 0)
    })

    it('keeps the same guest again, and lets it move afterwards', async () => {
      const launch = await running()
      await kept(launch)
      await kept(launch, 'd4e5f6' as SnapshotId)
      await harness.untilWriting('here', launch)
      assert.equal(must(await guests('here').inspect(launch.guest)).sending, undefined)
      must(await harness.hosts.here.migration.cancel(launch.guest))
      assert.equal(must(await guests('here').inspect(launch.guest)).status, 'running')
      const { disks } = await harness.open(launch, 2)
      const seen = must(await harness.hosts.here.migration.launchOf(launch.guest))
      const at = { address: '127.0.0.1', secret: 'a0'.repeat(32) }
      const endpoint = must(await harness.hosts.there.migration.receive({ ...seen, disks, epoch: 2 }, at))
      const limits = { bandwidthBytesPerSecond: 0, downtimeMs: 300, postCopy: false }
      must(await harness.hosts.here.migration.send(launch.guest, endpoint, limits))
      must(await harness.hosts.here.migration.awaitStandstill(launch.guest, inTime()))
      assert.equal(must(await guests('here').inspect(launch.guest)).sending, 'standing-still')
      must(await harness.hosts.here.migration.cancel(launch.guest))
      await harness.untilWriting('here', launch)
    })

    it('lets the guest go on when it is given up: before, while it stands still, and when all is written', async () => {
      const launch = await running()
      must(await here().abandon(launch.guest))
      must(await here().begin(launch.guest, SNAPSHOT, await harness.places(launch, SNAPSHOT)))
      must(await here().abandon(launch.guest))
      await harness.untilWriting('here', launch)
      await standingStill(launch)
      must(await here().abandon(launch.guest))
      await harness.untilWriting('here', launch)
      await standingStill(launch)
      must(await here().complete(launch.guest))
      must(await here().abandon(launch.guest))
      await harness.untilWriting('here', launch)
      assert.equal(must(await guests('here').inspect(launch.guest)).status, 'running')
    })

    it('waits no longer than its caller', async () => {
      const launch = await running()
      must(await here().begin(launch.guest, SNAPSHOT, await harness.places(launch, SNAPSHOT)))
      assert.ok(!(await here().awaitStandstill(launch.guest, AbortSignal.abort())).ok)
      must(await here().abandon(launch.guest))
      await harness.untilWriting('here', launch)
    })

    for (const isComplete of [false, true])
      it(`an agent that comes after finds a guest that can go on: ${isComplete ? 'all' : 'nearly all'} is written`, async () => {
        const launch = await running()
        await standingStill(launch)
        if (isComplete) must(await here().complete(launch.guest))
        await harness.restartAgent('here')
        const [found] = await guests('here').adopt()
        assert.ok(found)
        assert.notEqual(found.status, 'departed')
        must(await harness.hosts.here.migration.cancel(launch.guest))
        const { status } = must(await guests('here').inspect(launch.guest))
        if (status === 'paused') must(await guests('here').resume(launch.guest))
        await harness.untilWriting('here', launch)
      })

    it('takes another image where one is damaged, and none where all are; nothing is left behind then', async () => {
      const launch = await running()
      const { places, image } = await kept(launch)
      const machine = must(await harness.hosts.here.migration.launchOf(launch.guest))
      must(await guests('here').kill(launch.guest))
      const [first, second] = places
      assert.ok(first && second)
      await harness.damage(first, SNAPSHOT)
      const again = async (epoch: number) => {
        const { disks } = await harness.open(launch, epoch)
        await harness.closeBelow(launch, epoch)
        return here().restore({ ...machine, disks, epoch }, { ...image, snapshot: SNAPSHOT }, places)
      }
      assert.equal(must(await again(2)).status, 'paused')
      must(await guests('here').kill(launch.guest))
      await harness.damage(second, SNAPSHOT)
      refused(await again(3), 'storage')
      refused(await guests('here').inspect(launch.guest), 'not_found')
    })

    it('knows nothing of a guest that is not there', async () => {
      const { guest } = await harness.guest()
      refused(await here().begin(guest, SNAPSHOT, []), 'not_found')
      refused(await here().awaitStandstill(guest, inTime()), 'not_found')
      refused(await here().complete(guest), 'not_found')
      refused(await here().seal(guest), 'not_found')
      must(await here().abandon(guest))
    })
  })
}

function refused(result: Result<unknown>, code: string): void {
  assert.ok(!result.ok, `expected the failure ${code}`)
  assert.equal(result.error.code, code, result.error.message)
}
