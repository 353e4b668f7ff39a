/** `./dev sim`: looks for seeds whose world breaks a promise, and shows what happened in one. */
import { fuzzWorld, type FuzzReport } from '@stead/sim/world-fuzz.ts'
import { DevFailure } from './run-program.ts'

const SEEDS = 50

export function runSim(
  words: readonly string[],
  options: { readonly seeds?: string | undefined; readonly first?: string | undefined },
): Promise<number> {
  const [what, seed, ...more] = words
  if (what === 'fuzz' && seed === undefined) {
    return fuzz({
      first: wholeNumber('--first', options.first ?? '1'),
      seeds: wholeNumber('--seeds', options.seeds ?? String(SEEDS)),
    })
  }
  if (what === 'repro' && seed !== undefined && more.length === 0) return repro(wholeNumber('SEED', seed))
  throw new DevFailure('sim what? One of: fuzz [--seeds N] [--first SEED], repro SEED')
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new DevFailure(`${name} takes a whole number above 0`)
  return value
}

interface FuzzOptions {
  readonly first: number
  readonly seeds: number
}

async function fuzz({ first, seeds }: FuzzOptions): Promise<number> {
  const startedMs = performance.now()
  let failed = 0
  let virtualMs = 0
  for (let seed = first; seed < first + seeds; seed++) {
    const report = await fuzzWorld(seed)
    virtualMs += report.virtualMs
    if (report.violations.length === 0) continue
    failed += 1
    process.stdout.write(`seed ${seed}: ${report.violations[0]}\n  to see more: ./dev sim repro ${seed}\n`)
  }
  const seconds = (performance.now() - startedMs) / 1000
  process.stdout.write(
    `${seeds - failed} of ${seeds} seeds passed; ${(virtualMs / 3_600_000).toFixed(1)} hours of a cluster's life in ${seconds.toFixed(1)} s\n`,
  )
  return failed === 0 ? 0 : 1
}

async function repro(seed: number): Promise<number> {
  const report = await fuzzWorld(seed)
  process.stdout.write(`${merged(report).join('\n')}\n`)
  for (const violation of report.violations) process.stdout.write(`VIOLATION ${violation}\n`)
  process.stdout.write(
    `seed ${seed}: ${report.violations.length} violations, ${report.acknowledged} writes acknowledged, ${(report.virtualMs / 1000).toFixed(0)} s of the cluster's time\n`,
  )
  return report.violations.length === 0 ? 0 : 1
}

/** The faults among the agents' own words, by time. */
function merged({ story, log }: FuzzReport): readonly string[] {
  return [...log, ...story.map((line) => `${line.slice(0, 7)} *** ${line.slice(8)}`)].toSorted(
    (a, b) => Number(a.slice(0, 7)) - Number(b.slice(0, 7)),
  )
}
