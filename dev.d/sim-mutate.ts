/**
 * `./dev sim mutate`: takes one safety rule after the other out of the code, and counts the seeds until the simulator
 * notices. A rule whose absence nothing catches is a hole in the simulator.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MUTATIONS } from './sim-mutations.ts'
import { DevFailure, ROOT } from './run-program.ts'
import { playInThreads } from './sim.ts'

export interface MutateOptions {
  /** One rule only. */
  readonly only: string | undefined
  readonly first: number
  readonly seeds: number
  readonly jobs: number
}

const LIMIT_MS = 10 * 60_000

export async function mutate({ only, first, seeds, jobs }: MutateOptions): Promise<number> {
  const chosen = MUTATIONS.filter((mutation) => only === undefined || mutation.rule === only)
  if (chosen.length === 0)
    throw new DevFailure(`there is no rule ${only}: ${MUTATIONS.map((each) => each.rule).join(', ')}`)
  for (const { rule, edits, redundantWith } of chosen)
    for (const { file, text } of [...edits, ...(redundantWith?.edits ?? [])])
      if (readFileSync(join(ROOT, file), 'utf8').split(text).length !== 2)
        throw new DevFailure(`${rule}: ${file} does not hold exactly once: ${text}`)
  process.stdout.write('| rule taken out | seeds until caught | caught by |\n|---|---|---|\n')
  let missed = 0
  for (const { rule, edits: own, redundantWith } of chosen) {
    const edits = [...own, ...(redundantWith?.edits ?? [])]
    const name = redundantWith ? `${rule}, and ${redundantWith.line}` : rule
    let caught: { readonly seed: number; readonly violation: string } | undefined
    await playInThreads({ first, seeds, limitMs: LIMIT_MS, untilCaught: true, edits }, jobs, ({ seed, violations }) => {
      const [violation] = violations
      if (violation !== undefined && (!caught || seed < caught.seed)) caught = { seed, violation }
    })
    if (!caught) missed += 1
    const row = caught ? [name, caught.seed - first + 1, caught.violation] : [name, `not by ${seeds}`, '']
    process.stdout.write(`| ${row.join(' | ')} |\n`)
  }
  return missed === 0 ? 0 : 1
}
