/** The answers are QEMU 10.0's own, taken down while a guest moved. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isOutgoing, progressOf, type QemuMigration } from './migration-progress.ts'

const ram = {
  ...{ total: 34_086_912, transferred: 599_399, remaining: 40_960, mbps: 16, 'page-size': 4096 },
  ...{ 'dirty-pages-rate': 1000, 'dirty-sync-count': 2 },
}
const copying: QemuMigration = {
  ...{ status: 'active', 'total-time': 145, 'expected-downtime': 300, 'cpu-throttle-percentage': 35, ram },
}

describe('the progress of a migration', () => {
  it('is told in bytes, and in what the guest feels', () => {
    assert.deepEqual(progressOf(copying), {
      phase: 'copying',
      totalBytes: 34_086_912,
      transferredBytes: 599_399,
      remainingBytes: 40_960,
      dirtyBytesPerSecond: 4_096_000,
      bandwidthBytesPerSecond: 2_000_000,
      throttlePercent: 35,
      expectedDowntimeMs: 300,
      passes: 2,
    })
  })

  it('is none before the first one, and in a QEMU that has only received its guest', () => {
    for (const answer of [{}, { status: 'none' }, { status: 'completed' }, { status: 'postcopy-active' }]) {
      assert.equal(progressOf(answer).phase, 'none')
      assert.equal(isOutgoing(answer), false)
    }
  })

  it('stands still before the switch and during it', () => {
    for (const status of ['pre-switchover', 'device'])
      assert.equal(progressOf({ ...copying, status }).phase, 'standing-still')
  })

  it('has failed when the connection breaks while the guest stands still, though QEMU waits on', () => {
    const broken = { ...copying, status: 'pre-switchover', 'error-desc': 'Cannot read from TLS channel' }
    assert.equal(progressOf(broken).phase, 'failed')
    assert.equal(progressOf(broken).error, 'Cannot read from TLS channel')
    assert.ok(isOutgoing(broken), 'the guest still has to be called back')
  })

  it('is over once it was cancelled or has failed', () => {
    for (const status of ['cancelled', 'failed']) {
      assert.equal(progressOf({ status }).phase, 'failed')
      assert.equal(isOutgoing({ status }), false)
    }
    assert.equal(progressOf({ status: 'failed', 'error-desc': 'No route' }).error, 'No route')
  })
})
