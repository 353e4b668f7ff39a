/** The part of the `GuestHost` contract about devices that come and go. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestHost } from '@stead/core/ports/guest-host.ts'
import { guestGrowthContract } from './guest-growth-contract.ts'
import { must, refused, volumeOf, type GuestHostHarness } from './guest-host-contract.ts'

type Subject = () => { readonly host: GuestHost; readonly harness: GuestHostHarness }

export function machineDevicesContract(subject: Subject): void {
  hotPlugContract(subject)

  it('does not take a disk away from a guest that holds on to it', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('deaf')
    must(await host.start(launch))
    const disk = await harness.disk(1)
    must(await host.addDisk(launch.guest, disk))
    refused(await host.removeDisk(launch.guest, disk.volume), 'conflict')
    refused(await host.removeDisk(launch.guest, disk.volume), 'conflict')
    assert.equal(must(await host.hardware(launch.guest)).disks.length, 2)
    assert.deepEqual(must(await host.removeDisk(launch.guest, 'unknown' as VolumeId)), { flushed: true })
  })

  it('limits a disk, changes the limits and lifts them', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    const inForce = async () => must(await host.hardware(launch.guest)).disks[0]?.limits
    assert.deepEqual(await inForce(), {})
    for (const limits of [
      { operationsPerSecond: 500, burstOperationsPerSecond: 1000, burstSeconds: 5 },
      { bytesPerSecond: 1 << 20 },
      {},
    ]) {
      must(await host.limitDisk(launch.guest, volumeOf(launch), limits))
      assert.deepEqual(await inForce(), limits)
      await harness.untilWriting(launch)
    }
  })

  guestGrowthContract(subject)
}

function hotPlugContract(subject: Subject): void {
  it('plugs a disk into a running guest, which is then like its others', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    const disk = await harness.disk(3)
    must(await host.addDisk(launch.guest, disk))
    must(await host.addDisk(launch.guest, disk))
    refused(await host.addDisk(launch.guest, await harness.disk(3)), 'conflict')
    const facts = must(await host.hardware(launch.guest))
    assert.deepEqual(
      facts.disks.map(({ volume, slot }) => ({ volume, slot })),
      [
        { volume: volumeOf(launch), slot: 0 },
        { volume: disk.volume, slot: 3 },
      ],
    )
    assert.deepEqual(must(await host.inspect(launch.guest)).legs.get(disk.volume), ['a', 'b'])
    must(await host.drainAndFlush(launch.guest, disk.volume))
    must(await host.pause(launch.guest))
    must(await host.dropLeg(launch.guest, disk.volume, 'b'))
    must(await host.resume(launch.guest))
    const second = await harness.restartAgent()
    const [adopted] = await second.adopt()
    assert.deepEqual(adopted?.legs.get(disk.volume), ['a'])
    assert.equal(must(await second.hardware(launch.guest)).disks.length, 2)
    await harness.untilWriting(launch)
    assert.deepEqual(must(await second.quit(launch.guest)), { flushed: true })
  })

  it('leaves nothing of a disk whose leg does not answer', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    const disk = await harness.disk(1)
    const [leg] = disk.legs
    assert.ok(leg)
    await harness.killServer('b')
    assert.ok(!(await host.addDisk(launch.guest, disk)).ok)
    assert.equal(must(await host.hardware(launch.guest)).disks.length, 1)
    must(await host.addDisk(launch.guest, { ...disk, legs: [leg] }))
    assert.deepEqual(must(await host.inspect(launch.guest)).legs.get(disk.volume), ['a'])
  })
}

/** A container needs nothing of its system for that, and has no limits of single disks. */
export function containerDevicesContract(subject: Subject): void {
  hotPlugContract(subject)

  it('takes a disk away that nobody uses, and never the root', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    const disk = await harness.disk(1)
    must(await host.addDisk(launch.guest, disk))
    assert.deepEqual(must(await host.removeDisk(launch.guest, disk.volume)), { flushed: true })
    assert.deepEqual(must(await host.removeDisk(launch.guest, disk.volume)), { flushed: true })
    refused(await host.removeDisk(launch.guest, volumeOf(launch)), 'conflict')
    refused(await host.limitDisk(launch.guest, volumeOf(launch), { bytesPerSecond: 1 << 20 }), 'bad_request')
    assert.deepEqual(
      must(await host.hardware(launch.guest)).disks.map(({ volume }) => volume),
      [volumeOf(launch)],
    )
    assert.equal(must(await host.inspect(launch.guest)).legs.get(disk.volume), undefined)
    must(await host.addDisk(launch.guest, disk))
    await harness.untilWriting(launch)
    assert.deepEqual(must(await host.quit(launch.guest)), { flushed: true })
  })

  it('waits with a disk while the guest stands still', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    must(await host.pause(launch.guest))
    const disk = await harness.disk(1)
    refused(await host.addDisk(launch.guest, disk), 'conflict')
    must(await host.resume(launch.guest))
    must(await host.addDisk(launch.guest, disk))
  })

  it('changes memory and processors at once, and an agent that comes back knows', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    must(await host.setCpus(launch.guest, launch.cpus + 1))
    must(await host.setMemory(launch.guest, 2 * launch.memoryBytes))
    const second = await harness.restartAgent()
    await second.adopt()
    const { cpus, memoryBytes } = must(await second.hardware(launch.guest))
    assert.deepEqual([cpus, memoryBytes], [launch.cpus + 1, 2 * launch.memoryBytes])
    await harness.untilWriting(launch)
  })
}
