import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestId, VolumeId } from '../model/ids.ts'
import type { GuestReading, MeterReadings, PoolReading, StorageCounters } from '../ports/host-meters.ts'
import { measureBetween } from './figures.ts'

const idle: StorageCounters = { reads: 100, writes: 50, readBytes: 4096, writtenBytes: 8192, readMs: 30, writeMs: 70 }
const web = 'web' as GuestId

function readings(atMs: number, parts: Partial<MeterReadings> = {}): MeterReadings {
  const host = { cpuMs: 5_000, memoryBytes: 1_000, receivedBytes: 10, sentBytes: 20 }
  return { atMs, host, pools: new Map(), guests: new Map(), ...parts }
}

function guest(parts: Partial<GuestReading> = {}): GuestReading {
  return { run: 'r1', cpuMs: 100, memoryBytes: 64, receivedBytes: 1_000, sentBytes: 2_000, disks: [], ...parts }
}

const pool = (parts: Partial<PoolReading> = {}): PoolReading => ({
  ...{ device: 'vda', storage: idle, busyMs: 1_000, usedBytes: 5, ...parts },
})

test('rates are what counters grew by, each second', () => {
  const host = { cpuMs: 25_000, memoryBytes: 2_000, receivedBytes: 110, sentBytes: 20 }
  const { figures } = {
    figures: measureBetween(readings(0), readings(10_000, { host })).host,
  }
  assert.deepEqual(figures, { cpuCores: 2, memoryBytes: 2_000, receivedBytesPerSecond: 10, sentBytesPerSecond: 0 })
})

test('the latency of a disk is the mean of the requests that ended meanwhile, and none where there were none', () => {
  const later = pool({
    storage: { ...idle, writes: 60, writtenBytes: 18_192, writeMs: 90 },
    busyMs: 3_500,
    usedBytes: 7,
  })
  const before = readings(0, { pools: new Map([['default', pool()]]) })
  const { pools, host } = measureBetween(before, readings(10_000, { pools: new Map([['default', later]]) }))
  assert.deepEqual(pools.get('default'), {
    ...{ readsPerSecond: 0, writesPerSecond: 1, readBytesPerSecond: 0, writtenBytesPerSecond: 1_000 },
    ...{ writeLatencyMs: 2, storageBusyRatio: 0.25, usedBytes: 7 },
  })
  assert.equal(host.storageBusyRatio, 0.25)
})

test('two pools on one disk are counted once for the host', () => {
  const both = (parts: Partial<PoolReading>) =>
    new Map([
      ['a', pool(parts)],
      ['b', pool(parts)],
    ])
  const after = readings(10_000, { pools: both({ storage: { ...idle, reads: 200 } }) })
  assert.equal(measureBetween(readings(0, { pools: both({}) }), after).host.readsPerSecond, 10)
})

test('a guest that began anew, and one that has just come, has no rates yet', () => {
  const before = readings(0, { guests: new Map([[web, guest({ cpuMs: 90_000 })]]) })
  const after = readings(10_000, {
    guests: new Map([
      [web, guest({ run: 'r2' })],
      ['new' as GuestId, guest()],
    ]),
  })
  for (const { figures, disks, sentBytes } of measureBetween(before, after).guests.values())
    assert.deepEqual([figures, disks, sentBytes], [{ memoryBytes: 64 }, [], 0])
})

test('a counter that fell has begun anew, and never makes a rate below nothing', () => {
  const before = readings(0, { guests: new Map([[web, guest({ receivedBytes: 1e9 })]]) })
  const after = readings(10_000, { guests: new Map([[web, guest({ receivedBytes: 5 })]]) })
  assert.equal(measureBetween(before, after).guests.get(web)!.figures.receivedBytesPerSecond, 0)
})

test('the disks of a guest are told apart, and a disk that came meanwhile is not counted yet', () => {
  const disk = (volume: string, reads: number) => ({ ...idle, volume: volume as VolumeId, reads })
  const before = readings(0, { guests: new Map([[web, guest({ disks: [disk('a', 100)] })]]) })
  const disks = [disk('a', 150), disk('b', 9_000)]
  const measured = measureBetween(before, readings(10_000, { guests: new Map([[web, guest({ disks })]]) })).guests.get(
    web,
  )!
  assert.deepEqual(
    measured.disks.map(({ volume, readsPerSecond }) => [volume, readsPerSecond]),
    [['a', 5]],
  )
  assert.equal(measured.figures.readsPerSecond, 5)
})
