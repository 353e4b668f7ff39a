import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log } from '@stead/core/ports/log.ts'
import { VirtualClock } from '@stead/sim/virtual-clock.ts'
import { keepTelling, serviceManager } from './service-manager.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

test('an agent that systemd does not run tells nobody', () => {
  assert.equal(serviceManager({ PATH: '/bin' }, silent), undefined)
})

test('what the agent starts cannot speak for it', () => {
  const env = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7', PATH: '/bin' }
  assert.equal(serviceManager(env, silent)?.watchdogMs, 60_000)
  assert.deepEqual(env, { PATH: '/bin' })
})

test('it says once that it is up, and three times in the time of the watchdog that it is alive', async () => {
  const clock = new VirtualClock()
  const told: string[] = []
  const stop = new AbortController()
  const keeping = keepTelling({ watchdogMs: 60_000, tell: (state) => told.push(state) }, clock, stop.signal)
  await clock.advance(59_000)
  assert.deepEqual(told, ['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
  stop.abort()
  await keeping
  await clock.advance(60_000)
  assert.equal(told.length, 4)
})

test('without a watchdog it only says that it is up', async () => {
  const told: string[] = []
  await keepTelling({ tell: (state) => told.push(state) }, new VirtualClock(), new AbortController().signal)
  assert.deepEqual(told, ['READY=1'])
})
