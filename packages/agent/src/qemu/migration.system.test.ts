/** The contract on real QEMU: two guest folders play two hosts, two qemu-storage-daemons hold the replicas of both. */
import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import { guestMigrationContract } from '@stead/sim/contract/guest-migration-contract.ts'
import { BOUND_MS, GUEST_USER, realHarness, type RealHarness } from './migration-fixture.ts'

guestMigrationContract('QEMU', realHarness)

const LIMITS = { bandwidthBytesPerSecond: 0, downtimeMs: 300, postCopy: false } as const

describe('QEMU that waits for a guest', () => {
  let harness: RealHarness

  beforeEach(async () => {
    harness = await realHarness()
  })
  afterEach(() => harness.close())

  it('has its key in a file that only it can read, until the guest has come', async () => {
    const launch = await harness.guest()
    const { here, there } = harness.qemu
    must(await here.start(launch))
    await harness.untilWriting('here', launch)
    const keyFile = join(harness.folder, 'there', launch.guest, 'migration', 'keys.psk')
    const at = { address: '127.0.0.1', secret: 'c3'.repeat(32) }
    const endpoint = must(await there.migration.receive(await harness.open(launch, 2), at))
    assert.equal(statSync(keyFile).mode & 0o777, 0o600)
    if (GUEST_USER) assert.equal(statSync(keyFile).uid, GUEST_USER.uid)
    must(await here.migration.send(launch.guest, endpoint, LIMITS))
    assert.ok(!existsSync(join(harness.folder, 'here', launch.guest, 'migration')), 'the source has read it already')
    while (must(await here.migration.progress(launch.guest)).phase !== 'standing-still') await sleep(5)
    must(await here.migration.relinquishDisks(launch.guest))
    must(await here.migration.complete(launch.guest))
    must(await there.migration.awaitArrival(launch.guest, BOUND_MS))
    assert.ok(!existsSync(keyFile))
  })

  it('has its memory compressed where that was asked for, and is whole', async () => {
    const launch = await harness.guest('fill')
    const { here, there } = harness.qemu
    must(await here.start(launch))
    await harness.untilWriting('here', launch)

    async function sent(way: readonly [typeof here, typeof there], epoch: number, compressed: boolean) {
      const [source, target] = way
      const at = { address: '127.0.0.1', secret: 'c3'.repeat(32), compressed }
      const endpoint = must(await target.migration.receive(await harness.open(launch, epoch), at))
      assert.equal(endpoint.compressed, compressed || undefined)
      must(await source.migration.send(launch.guest, endpoint, LIMITS))
      while (must(await source.migration.progress(launch.guest)).phase !== 'standing-still') await sleep(5)
      must(await source.migration.relinquishDisks(launch.guest))
      const { transferredBytes } = must(await source.migration.complete(launch.guest))
      must(await target.migration.awaitArrival(launch.guest, BOUND_MS))
      must(await source.kill(launch.guest))
      return transferredBytes
    }

    const plain = await sent([here, there], 2, false)
    await harness.untilWriting('there', launch)
    const compressed = await sent([there, here], 3, true)
    await harness.untilWriting('here', launch)
    assert.ok(compressed < plain / 2, `${compressed} bytes, ${plain} as they are`)
  })
})
