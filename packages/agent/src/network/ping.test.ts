import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pingFigures } from './ping.ts'

test('the summary of ping tells what was lost, how long the way takes, and by how much that differs', () => {
  const whole = `PING 10.77.0.2 (10.77.0.2) from 10.77.0.1 : 56(84) bytes of data.

--- 10.77.0.2 ping statistics ---
10 packets transmitted, 9 received, 10% packet loss, time 462ms
rtt min/avg/max/mdev = 0.035/0.060/0.121/0.024 ms
`
  assert.deepEqual(pingFigures(whole), { lostShare: 0.1, latencyMs: 0.06, jitterMs: 0.024 })
})

test('of what never came back there is nothing but that; another text says nothing', () => {
  const none = `PING 10.77.0.9 (10.77.0.9) from 10.77.0.1 : 56(84) bytes of data.

--- 10.77.0.9 ping statistics ---
10 packets transmitted, 0 received, +5 errors, 100% packet loss, time 480ms
pipe 3
`
  assert.deepEqual(pingFigures(none), { lostShare: 1 })
  assert.equal(pingFigures('ping: bind: Cannot assign requested address\n'), undefined)
})
