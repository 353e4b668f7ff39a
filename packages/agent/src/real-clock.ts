import { randomUUID } from 'node:crypto'
import type { Clock, Random } from '@stead/core/ports/clock.ts'

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
      const timer = setTimeout(finish, Math.max(0, ms))
      signal?.addEventListener('abort', finish)
    }),
}

export const realRandom: Random = {
  uuid: () => randomUUID(),
  fraction: () => Math.random(),
}
