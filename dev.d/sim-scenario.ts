/** `./dev sim scenario`: plays the folders of `scenarios/` and compares what happens with what is expected. */
import type { Recovery } from '@stead/sim/scenario-run.ts'
import { DevFailure } from './run-program.ts'
import { playFolder, scenarioNames, writeExpectedLog, type PlayedScenario } from './scenario-folders.ts'

/**
 * From the loss of a host to the guest's next run, in the regression suite that most of the scenarios come from, by its
 * own simulated clock: shortest, median and longest of 57.
 */
const THEIR_SECONDS = { shortest: 105, median: 123, longest: 183 } as const
/** Lines of the same log around a difference. */
const CONTEXT = 3

export interface ScenarioOptions {
  readonly update?: boolean | undefined
  readonly times?: boolean | undefined
  readonly seed?: string | undefined
}

export async function runScenarios(words: readonly string[], options: ScenarioOptions): Promise<number> {
  const [name, ...more] = words
  if (name === undefined || more.length > 0)
    throw new DevFailure('sim scenario NAME|all [--update] [--times] [--seed N]')
  const known = scenarioNames()
  if (name !== 'all' && !known.includes(name))
    throw new DevFailure(`there is no scenario ${name}; there are ${known.join(', ')}`)
  const seed = options.seed === undefined ? undefined : Number(options.seed)
  if (seed !== undefined && !Number.isSafeInteger(seed)) throw new DevFailure('--seed takes a whole number')
  const played: PlayedScenario[] = []
  const startedMs = performance.now()
  for (const each of name === 'all' ? known : [name]) {
    const one = await playFolder(each, seed)
    played.push(one)
    if (name !== 'all') write(`${one.log.join('\n')}\n\n`)
    if (options.update === true) update(one)
    else tell(one)
  }
  if (options.times === true) write(timesTable(played))
  const passed = played.filter((one) => hasPassed(one, options.update === true))
  const took = seconds(performance.now() - startedMs)
  const virtualMinutes = played.reduce((sum, { virtualMs }) => sum + virtualMs, 0) / 60_000
  write(
    `${passed.length} of ${played.length} scenarios passed; ${virtualMinutes.toFixed(1)} minutes of a cluster's life in ${took} s\n`,
  )
  return passed.length === played.length ? 0 : 1
}

function hasPassed({ failures, differences }: PlayedScenario, isUpdated: boolean): boolean {
  return failures.length === 0 && (isUpdated || differences === undefined)
}

/** What is not as its `expect` lines say is never written down as expected. */
function update(played: PlayedScenario): void {
  const { name, failures, differences } = played
  for (const failure of failures) write(`FAILED  ${name}: ${failure}\n`)
  if (failures.length > 0 || !differences) return
  writeExpectedLog(played)
  write(`updated ${name}\n`)
}

function tell({ name, failures, differences }: PlayedScenario): void {
  write(`${failures.length === 0 && !differences ? 'passed' : 'FAILED'}  ${name}\n`)
  for (const failure of failures) write(`    ${failure}\n`)
  if (!differences) return
  write('    what happened (+) is not what expected.log says (-):\n')
  const isNear = (at: number) =>
    differences.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(({ sign }) => sign !== ' ')
  for (const [at, { sign, line }] of differences.entries()) if (isNear(at)) write(`    ${sign} ${line}\n`)
}

function timesTable(played: readonly PlayedScenario[]): string {
  const { shortest, median, longest } = THEIR_SECONDS
  const rows = played.flatMap(({ name, recoveries, title, isCarried }) => {
    if (recoveries.length === 0) return []
    const reasons = new Set(recoveries.flatMap(({ waitedFor }) => waitedFor ?? []))
    const waits = reasons.size === 0 ? '' : `, waiting: ${[...reasons].join('; ')}`
    const theirs = isCarried ? `${shortest} to ${longest}` : '-'
    return [`| ${name} | ${range(recoveries)}${waits} | ${theirs} | ${recoveries.length} | ${title} |`]
  })
  const all = played.flatMap(({ recoveries }) => recoveries)
  const unhindered = all.filter(({ waitedFor }) => waitedFor === undefined).toSorted((a, b) => a.tookMs - b.tookMs)
  const middle = unhindered[Math.floor(unhindered.length / 2)]
  return [
    '',
    '| scenario | ours: loss to running again, s | theirs, s | guests | what happens |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `Ours: ${range(unhindered)} s, median ${seconds(middle?.tookMs ?? 0)} s, of ${unhindered.length} recoveries that had nothing to wait for.`,
    `Theirs: known for the whole suite only, ${shortest} to ${longest} s, median ${median} s of 57 recoveries.`,
    '',
  ].join('\n')
}

function range(recoveries: readonly Recovery[]): string {
  const took = recoveries.map(({ tookMs }) => tookMs)
  const [least, most] = [seconds(Math.min(...took)), seconds(Math.max(...took))]
  return least === most ? least : `${least} to ${most}`
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1)
}

function write(text: string): void {
  process.stdout.write(text)
}
