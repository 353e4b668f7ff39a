import { randomUUID } from 'node:crypto'
import type { Clock, Random } from '@stead/core/ports/clock.ts'

/**
 * Sleeps of a second and more end together, at multiples of this: an idle agent has many loops that look around once a
 * second, and each awakening of the process costs more than the look itself (measured: 150 µs).
 */
const SLACK_GRID_MS = 250
const SLACK_FROM_MS = 1_000

function withSlack(ms: number): number {
  if (ms < SLACK_FROM_MS) return Math.max(0, ms)
  const dueMs = performance.now() + ms
  return ms + (SLACK_GRID_MS - (dueMs % SLACK_GRID_MS))
}

export const realClock: Clock = {
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      const timer = setTimeout(finish, withSlack(ms))
      signal?.addEventListener('abort', finish)
    }),
}

export const realRandom: Random = {
  uuid: () => randomUUID(),
  fraction: () => Math.random(),
}
