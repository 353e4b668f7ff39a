/** How long a newcomer waits: the lab's start, the whole tour, the lab's end. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { BenchLab, monotonicMs } from './bench-lab.ts'
import { ROOT } from './run-program.ts'

export interface TimesReport {
  /** `lab up` until all three hosts are online. */
  readonly labUpMs: number
  /** The tour of `./dev lab` alone, up to its last line. */
  readonly tourMs: number
  readonly labDownMs: number
}

/** `./dev lab` once installed, up to the end of the tour. */
export const TOUR_TARGET_MS = 90_000

export async function benchTimes({ note }: { readonly note: (text: string) => void }): Promise<TimesReport> {
  const lab = await BenchLab.up()
  let tourMs = Number.NaN
  let downMs = Number.NaN
  try {
    const startedMs = monotonicMs()
    await promisify(execFile)(process.execPath, [join(ROOT, 'packages/lab/src/tour-main.ts')], {
      env: lab.cluster.env,
      timeout: 300_000,
    })
    tourMs = monotonicMs() - startedMs
    note(`tour: ${(tourMs / 1000).toFixed(1)} s`)
  } finally {
    const endingMs = monotonicMs()
    await lab.down()
    downMs = monotonicMs() - endingMs
  }
  return { labUpMs: lab.upMs, tourMs, labDownMs: downMs }
}
