/** What every `HostMeters` keeps to: counters that only grow, guests that run and no others, pools with what is below. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GuestId } from '@stead/core/model/ids.ts'
import { measureBetween } from '@stead/core/metrics/figures.ts'
import type { HostMeters, MeterReadings } from '@stead/core/ports/host-meters.ts'

export interface HostMetersHarness {
  /** With one pool called `default`. */
  readonly meters: HostMeters
  /** Something that uses its processor, as a guest that runs here. */
  readonly start: (guest: GuestId) => Promise<void>
  readonly stop: (guest: GuestId) => Promise<void>
  /** Lets two seconds pass. */
  readonly pass: () => Promise<void>
  readonly close: () => Promise<void>
}

const GUEST = 'guest-busy' as GuestId

export function hostMetersContract(name: string, open: () => Promise<HostMetersHarness>): void {
  const using = async (work: (harness: HostMetersHarness) => Promise<void>) => {
    const harness = await open()
    try {
      await work(harness)
    } finally {
      await harness.close()
    }
  }

  describe(`HostMeters: ${name}`, () => {
    it('counts what only grows', () =>
      using(async ({ meters, pass, start }) => {
        await start(GUEST)
        const first = await meters.read()
        await pass()
        const second = await meters.read()
        assert.ok(second.atMs > first.atMs)
        for (const pick of COUNTERS) assert.ok(pick(second) >= pick(first), String(pick))
        assert.ok(second.host.cpuMs > first.host.cpuMs)
        assert.ok(second.host.memoryBytes > 0)
      }))

    it('tells of the pools, and of no others', () =>
      using(async ({ meters }) => {
        const { pools } = await meters.read()
        assert.deepEqual([...pools.keys()], ['default'])
        assert.ok(pools.get('default')!.usedBytes >= 0)
        assert.notEqual(pools.get('default')!.device, '')
      }))

    it('tells of a guest for as long as it runs, and what it used meanwhile', () =>
      using(async ({ meters, start, stop, pass }) => {
        assert.equal((await meters.read()).guests.size, 0)
        await start(GUEST)
        const first = await meters.read()
        await pass()
        const second = await meters.read()
        assert.deepEqual([...second.guests.keys()], [GUEST])
        const { figures } = measureBetween(first, second).guests.get(GUEST)!
        assert.ok(figures.cpuCores! > 0, `it used ${figures.cpuCores} processors`)
        assert.ok(figures.memoryBytes! > 0)
        await stop(GUEST)
        await pass()
        assert.equal((await meters.read()).guests.size, 0)
      }))

    it('takes another run of a guest for another one', () =>
      using(async ({ meters, start, stop, pass }) => {
        await start(GUEST)
        const first = await meters.read()
        await stop(GUEST)
        await start(GUEST)
        await pass()
        const second = await meters.read()
        assert.notEqual(second.guests.get(GUEST)!.run, first.guests.get(GUEST)!.run)
        assert.equal(measureBetween(first, second).guests.get(GUEST)!.figures.cpuCores, undefined)
      }))
  })
}

const COUNTERS: readonly ((of: MeterReadings) => number)[] = [
  ({ host }) => host.cpuMs,
  ({ host }) => host.receivedBytes,
  ({ host }) => host.sentBytes,
  ({ pools }) => pools.get('default')?.busyMs ?? 0,
  ({ pools }) => pools.get('default')?.storage?.writes ?? 0,
  ({ guests }) => guests.get(GUEST)?.cpuMs ?? 0,
]
