/** How fast the planner answers, and how well: on the clusters that other planners were measured on. */
import { execFileSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { readBenchCluster } from '@stead/cli/bench-cluster.ts'
import { balance } from '@stead/core/planning/balance.ts'
import { placeGuests } from '@stead/core/planning/place.ts'
import type { PlanningProblem } from '@stead/core/planning/problem.ts'
import { plannerCluster, type ClusterShape, type PlannerCluster } from './planner-cluster.ts'
import { scoreOf, type PlannerScore } from './planner-score.ts'

export interface Peer {
  readonly name: 'hbal' | 'Pacemaker'
  readonly seconds: number
  readonly spread: number
  readonly moved: number
  readonly rulesBroken: number
  readonly preferencesMissed: number
}

export interface PlannerCase {
  readonly name: string
  readonly shape: ClusterShape
  /** Hosts lost; none for evening out. */
  readonly failed: readonly string[]
  readonly movesMax?: number
  readonly target: {
    readonly ms: number
    readonly spread?: number
    readonly moves?: number
    readonly memoryMiB?: number
  }
  /** Other planners on the same cluster, run by us on the same kind of machine. */
  readonly peers: readonly Peer[]
}

export interface PlannerResult {
  readonly name: string
  /** The first plan of a fresh process, before anything is compiled. */
  readonly firstMs: number
  /** Median of those after it. */
  readonly laterMs: number
  readonly worstMs: number
  /** Mean of the same, as processor time: what other work on the machine does not change. */
  readonly processorMs: number
  /** The most memory that the process ever had, with the cluster itself. */
  readonly memoryMiB: number
  readonly score: PlannerScore
}

export interface PlannerReport {
  readonly results: readonly PlannerResult[]
}

/**
 * Ganeti 3.0.2: `hbal -t FILE.data --ignore-dynu`, with `-O n3 -E` after a loss. It knows of apart, not of together, bans
 * and preferences.
 */
function hbal(seconds: number, spread: number, moved: number, rulesBroken: number, preferencesMissed: number): Peer {
  return { name: 'hbal', seconds, spread, moved, rulesBroken, preferencesMissed }
}

/** 2.1.5: `crm_simulate -S -x FILE.fail.xml`. It keeps all rules. */
function pacemaker(seconds: number, spread: number, moved: number, preferencesMissed: number): Peer {
  return { name: 'Pacemaker', seconds, spread, moved, rulesBroken: 0, preferencesMissed }
}

function loss(hosts: number, guests: number): Pick<PlannerCase, 'name' | 'shape' | 'failed'> {
  return { name: `${hosts} x ${guests}, one lost`, shape: { hosts, guests, place: 'spread' }, failed: ['n3'] }
}

const RACK = Array.from({ length: 40 }, (_, index) => `n${index + 1}`)

export const PLANNER_CASES: readonly PlannerCase[] = [
  {
    ...loss(10, 100),
    target: { ms: 2, spread: 0.118, moves: 11 },
    peers: [hbal(0.03, 0.1182, 11, 1, 10), pacemaker(0.05, 0.1561, 11, 10)],
  },
  {
    ...loss(32, 1_000),
    target: { ms: 5, spread: 0.101, moves: 26 },
    peers: [hbal(0.34, 0.11, 26, 1, 98), pacemaker(1, 0.1257, 26, 93)],
  },
  {
    ...loss(50, 5_000),
    target: { ms: 15, spread: 0.0334, moves: 89 },
    peers: [hbal(9.8, 0.0362, 89, 3, 486), pacemaker(105, 0.0529, 89, 479)],
  },
  { ...loss(100, 10_000), target: { ms: 30, spread: 0.0243, moves: 89 }, peers: [hbal(43, 0.026, 89, 2, 988)] },
  {
    name: '20 x 400 packed, evened out',
    shape: { hosts: 20, guests: 400, place: 'packed' },
    failed: [],
    movesMax: 66,
    target: { ms: 1_000, spread: 0.0997, moves: 66 },
    peers: [hbal(9.7, 0.0996, 68, 2, 39)],
  },
  {
    name: '80 x 2000 packed, evened out',
    shape: { hosts: 80, guests: 2_000, place: 'packed' },
    failed: [],
    target: { ms: 5_000, spread: 0.1 },
    peers: [],
  },
  {
    name: '1000 x 50000, a rack of 40 lost',
    shape: { hosts: 1_000, guests: 50_000, place: 'spread', hostsPerRack: 40 },
    failed: RACK,
    target: { ms: 1_000, memoryMiB: 1_536 },
    peers: [],
  },
]

/** Each case in a process of its own, so that the first plan finds nothing warm. */
export function benchPlanner({
  rounds,
  note,
}: {
  readonly rounds: number
  readonly note: (text: string) => void
}): PlannerReport {
  const module = pathToFileURL(import.meta.filename).href
  const results = PLANNER_CASES.map((one, index) => {
    const script = `const { measureCase } = await import(process.argv[1])
      process.stdout.write(JSON.stringify(measureCase(${index}, ${rounds})))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, module], { encoding: 'utf8' })
    const result: PlannerResult = JSON.parse(output)
    note(`planner, ${one.name}: first ${result.firstMs.toFixed(1)} ms, later ${result.laterMs.toFixed(1)} ms`)
    return result
  })
  return { results }
}

export function measureCase(index: number, rounds: number): PlannerResult {
  const { name, shape, failed, movesMax } = PLANNER_CASES[index]!
  const cluster = plannerCluster(shape)
  const read = readBenchCluster(cluster, failed)
  if (!read.ok) throw new Error(read.error.message)
  const plan = () => planOf(read.value, failed.length === 0, movesMax)
  const times: number[] = []
  let moves: ReadonlyMap<string, string> = new Map()
  let before = process.cpuUsage()
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) before = process.cpuUsage()
    const startedAt = performance.now()
    moves = plan()
    times.push(performance.now() - startedAt)
  }
  const used = process.cpuUsage(before)
  const [firstMs = 0, ...later] = times
  const sorted = later.toSorted((a, b) => a - b)
  return {
    name,
    firstMs,
    laterMs: sorted[Math.floor(sorted.length / 2)] ?? firstMs,
    worstMs: sorted.at(-1) ?? firstMs,
    processorMs: (used.user + used.system) / 1_000 / rounds,
    memoryMiB: process.resourceUsage().maxRSS / 1024,
    score: scoreOf(cluster, placesAfter(cluster, new Set(failed), moves), new Set(failed)),
  }
}

function planOf(problem: PlanningProblem, even: boolean, movesMax = Infinity): Map<string, string> {
  if (even) return new Map(balance(problem, { movesMax }).moves.map(({ guest, to }) => [guest, to]))
  return new Map(placeGuests(problem).places)
}

function placesAfter(
  { guests }: PlannerCluster,
  failed: ReadonlySet<string>,
  moves: ReadonlyMap<string, string>,
): Map<string, string> {
  return new Map(
    guests.flatMap(({ id, node }) => {
      const place = moves.get(id) ?? (failed.has(node) ? undefined : node)
      return place === undefined ? [] : [[id, place] as const]
    }),
  )
}
