/** The planner's section of docs/benchmarks.md. */
import { PLANNER_CASES, type PlannerReport } from './bench-planner.ts'

export function plannerSection({ results }: PlannerReport): string {
  const rows = PLANNER_CASES.flatMap((one, index) => {
    const result = results[index]
    return result === undefined ? [] : [{ ...one, result }]
  })
  return [
    '## Planner',
    '',
    'Time of one plan, from the problem as plain data to the places; reading the file is not in it. "First" is the very first plan of a fresh process, with nothing compiled yet; "later" is the median of those after it, "processor" their mean processor time. The score is the standard deviation of the shares of memory taken plus that of processors (0 is perfectly even), "broken" counts strict rules (together, apart, ban) and overfull hosts. The clusters are the generated ones that other planners get as well.',
    '',
    '| cluster | first | later | worst later | processor (ms) | score | moved | not placed | broken | preferences missed | memory (MiB) |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...rows.map(
      ({ name, result: { score, ...result } }) =>
        `| ${name} | ${ms(result.firstMs)} | ${ms(result.laterMs)} | ${ms(result.worstMs)} | ${ms(result.processorMs)} | ${score.spread.toFixed(4)} | ${score.moved} | ${score.unplaced} | ${score.rulesBroken + score.hostsOverfull} | ${score.preferencesMissed} | ${result.memoryMiB.toFixed(0)} |`,
    ),
    '',
    'Others on the same clusters and the same kind of machine; after a loss all move the guests of that host only. Ganeti hbal 3.0.2 (`-E`) knows of apart, not of together, bans and preferences; Pacemaker 2.1.5 keeps all rules:',
    '',
    '| cluster | planner | CPU s | score | moved | broken | preferences missed |',
    '|---|---|---|---|---|---|---|',
    ...rows.flatMap(({ name, peers }) =>
      peers.map(
        (peer) =>
          `| ${name} | ${peer.name} | ${peer.seconds} | ${peer.spread} | ${peer.moved} | ${peer.rulesBroken} | ${peer.preferencesMissed} |`,
      ),
    ),
    '',
    ...rows.flatMap(({ name, target, result }) => [
      verdict(`${name}: later plans`, result.laterMs, target.ms, 'ms', 1),
      ...(target.spread === undefined ? [] : [verdict(`${name}: score`, result.score.spread, target.spread, '', 4)]),
      ...(target.moves === undefined ? [] : [verdict(`${name}: guests moved`, result.score.moved, target.moves, '')]),
      ...(target.memoryMiB === undefined
        ? []
        : [verdict(`${name}: memory of the whole process`, result.memoryMiB, target.memoryMiB, 'MiB')]),
    ]),
  ].join('\n')
}

function ms(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0)
}

function verdict(what: string, measured: number, target: number, unit: string, digits = 0): string {
  const word = measured <= target ? 'met' : '**missed**'
  const of = (value: string) => (unit === '' ? value : `${value} ${unit}`)
  return `- Target, ${what}: at most ${of(String(target))}; measured ${of(measured.toFixed(digits))}: ${word}.`
}
