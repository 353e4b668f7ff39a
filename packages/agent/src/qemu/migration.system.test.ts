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
    must(
      await here.migration.send(launch.guest, endpoint, {
        bandwidthBytesPerSecond: 0,
        downtimeMs: 300,
        postCopy: false,
      }),
    )
    assert.ok(!existsSync(join(harness.folder, 'here', launch.guest, 'migration')), 'the source has read it already')
    while (must(await here.migration.progress(launch.guest)).phase !== 'standing-still') await sleep(5)
    must(await here.migration.relinquishDisks(launch.guest))
    must(await here.migration.complete(launch.guest))
    must(await there.migration.awaitArrival(launch.guest, BOUND_MS))
    assert.ok(!existsSync(keyFile))
  })
})
