import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted, NOTHING_TRIED } from './readiness.ts'

const THRESHOLDS = { successThreshold: 2, failureThreshold: 3 }

/** `+` a success, `-` a failure; the answer in the same order: `R` ready, `.` not. */
function course(tries: string): string {
  let count = NOTHING_TRIED
  return [...tries]
    .map((one) => {
      count = counted(count, THRESHOLDS, one === '+' ? { succeeded: true } : { succeeded: false, reason: '' })
      return count.ready ? 'R' : '.'
    })
    .join('')
}

test('ready after enough successes in a row, not ready any more after enough failures in a row', () => {
  assert.equal(course('-+-++'), '....R')
  assert.equal(course('++--+---'), '.RRRRRR.')
  assert.equal(course('++---+-++'), '.RRR....R')
})
