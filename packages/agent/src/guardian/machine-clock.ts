/** The machine's clocks: `monotonicMs` is CLOCK_MONOTONIC, the same for all processes and namespaces of a machine. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '@stead/core/ports/clock.ts'

export const machineClock: Clock = {
  monotonicMs() {
    const [seconds, nanoseconds] = process.hrtime()
    return seconds * 1000 + nanoseconds / 1e6
  },
  wallMs: () => Date.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, signal ? { signal } : {})
  },
}
