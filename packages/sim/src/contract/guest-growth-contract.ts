/** The part of the `GuestHost` contract about memory and processors; its guests have no system that does its part. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { GuestHost } from '@stead/core/ports/guest-host.ts'
import { must, refused, type GuestHostHarness } from './guest-host-contract.ts'

export function guestGrowthContract(
  subject: () => { readonly host: GuestHost; readonly harness: GuestHostHarness },
): void {
  it('plugs processors into a guest that was started for more, and has none of a deaf one back', async () => {
    const { host, harness } = subject()
    const launch = { ...(await harness.guest('deaf')), cpus: 2, cpusMax: 4 }
    must(await host.start(launch))
    const sizes = async (of: GuestHost) => {
      const { cpus, cpusMin, cpusMax } = must(await of.hardware(launch.guest))
      return [cpus, cpusMin, cpusMax]
    }
    assert.deepEqual(await sizes(host), [2, 1, 4])
    must(await host.setCpus(launch.guest, 4))
    must(await host.setCpus(launch.guest, 4))
    refused(await host.setCpus(launch.guest, 5), 'conflict')
    refused(await host.setCpus(launch.guest, 0), 'conflict')
    refused(await host.setCpus(launch.guest, 3), 'conflict')
    assert.deepEqual(await sizes(host), [4, 1, 4])
    const second = await harness.restartAgent()
    await second.adopt()
    assert.deepEqual(await sizes(second), [4, 1, 4])
  })

  it('offers memory and a balloon to a guest that was started for them; a deaf one takes nothing', async () => {
    const { host, harness } = subject()
    const basis = await harness.guest('deaf')
    const launch = { ...basis, memoryMaxBytes: basis.memoryBytes + (256 << 20) }
    must(await host.start(launch))
    const facts = must(await host.hardware(launch.guest))
    assert.equal(facts.memoryBytes, launch.memoryBytes)
    assert.equal(facts.memoryMinBytes, launch.memoryBytes)
    assert.equal(facts.memoryMaxBytes, launch.memoryMaxBytes)
    assert.equal(facts.balloonBytes, launch.memoryBytes)
    refused(await host.setMemory(launch.guest, launch.memoryMaxBytes), 'conflict')
    refused(await host.setMemory(launch.guest, launch.memoryMaxBytes + (4 << 20)), 'conflict')
    refused(await host.setMemory(launch.guest, launch.memoryBytes - (4 << 20)), 'conflict')
    refused(await host.setBalloon(launch.guest, launch.memoryBytes / 2), 'conflict')
    assert.equal(must(await host.memoryUse(launch.guest)), undefined)
    assert.equal(must(await host.hardware(launch.guest)).memoryBytes, launch.memoryBytes)
  })

  it('changes neither memory nor processors of a guest that was started without', async () => {
    const { host, harness } = subject()
    const launch = await harness.guest('write')
    must(await host.start(launch))
    const facts = must(await host.hardware(launch.guest))
    assert.deepEqual([facts.cpusMin, facts.cpusMax], [launch.cpus, launch.cpus])
    assert.deepEqual([facts.memoryMinBytes, facts.memoryMaxBytes], [launch.memoryBytes, launch.memoryBytes])
    assert.equal(facts.balloonBytes, undefined)
    refused(await host.setCpus(launch.guest, launch.cpus + 1), 'conflict')
    refused(await host.setMemory(launch.guest, launch.memoryBytes * 2), 'conflict')
    refused(await host.setBalloon(launch.guest, launch.memoryBytes / 2), 'conflict')
  })
}
