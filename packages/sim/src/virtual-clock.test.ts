import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HostClock } from './host-clock.ts'
import { VirtualClock } from './virtual-clock.ts'

test('timers run by time, then by age, and whoever waited has come to rest before the next one', async () => {
  const clock = new VirtualClock()
  const seen: string[] = []
  clock.after(20, () => void seen.push('late'))
  clock.after(10, () => void seen.push('first'))
  clock.after(10, () => void seen.push('second'))
  const waits = async () => {
    await clock.sleep(5)
    for (let step = 0; step < 10; step++) await Promise.resolve()
    seen.push('woken')
  }
  void waits()
  const cancel = clock.after(15, () => void seen.push('never'))
  cancel()
  await clock.advance(30)
  assert.deepEqual(seen, ['woken', 'first', 'second', 'late'])
  assert.equal(clock.monotonicMs(), 30)
})

test('hundreds of timers in any order run in order', async () => {
  const clock = new VirtualClock()
  const ran: number[] = []
  for (let count = 0; count < 500; count++) {
    const atMs = (count * 7919) % 1000
    clock.after(atMs, () => void ran.push(atMs))
  }
  await clock.advance(2_000)
  assert.equal(ran.length, 500)
  assert.deepEqual(
    ran,
    ran.toSorted((a, b) => a - b),
  )
})

test('a fast clock counts more and sleeps less; a jump of the wall clock changes neither', async () => {
  const world = new VirtualClock()
  const clock = new HostClock(world)
  clock.setDrift(10_000)
  const wallMs = clock.wallMs()
  clock.jumpWall(-3_600_000)
  assert.equal(clock.wallMs(), wallMs - 3_600_000)
  let wokenAtMs = 0
  void clock.sleep(1_010).then(() => (wokenAtMs = world.monotonicMs()))
  await world.advance(5_000)
  assert.ok(Math.abs(wokenAtMs - 1_000) < 0.1)
  assert.ok(Math.abs(clock.monotonicMs() - 5_050) < 0.1)
})
