/**
 * What would have to be different for a guest to get a place, or another place. Nothing is guessed: one thing of the
 * problem is changed at a time, and the planner is asked again.
 */
import type { GuestId, HostId } from '../model/ids.ts'
import type { Rule, RuleId } from '../model/rule.ts'
import type { HostJudgement } from './judge.ts'
import { mib } from './objection.ts'
import { placeGuests } from './place.ts'
import type { PlanningHost, PlanningProblem } from './problem.ts'

export interface SmallestChange {
  readonly kind: 'host' | 'memory' | 'cpus' | 'rule'
  /** What is to change: a host or a rule. */
  readonly subject: HostId | RuleId
  /** Where the guest would go then. */
  readonly host: HostId
  /** "if h2 had 512 MiB more of memory free, it could run there" */
  readonly text: string
}

interface Trial {
  readonly kind: SmallestChange['kind']
  readonly subject: HostId | RuleId
  readonly condition: string
  readonly problem: PlanningProblem
  /** The smaller, the easier: room by its share of what the guest needs, then rules, then hosts. */
  readonly size: number
}

/** Of each kind; what was not tried is not claimed to be impossible. */
const TRIALS_MAX = 8

/** Changes that alone would alter where the guest goes, the smallest first. The guest must need a place. */
export function smallestChanges(problem: PlanningProblem, guest: GuestId): SmallestChange[] {
  const placement = placeGuests(problem, { refineEffortMax: 0 })
  const place = placement.places.get(guest)
  const judged = placement.judge(guest)
  const isBetter = (host: HostId | undefined, trial: Trial) =>
    host !== undefined && host !== place && (place === undefined || trial.kind === 'rule' || trial.subject === host)
  const trials = [
    ...usableHostTrials(problem, judged, place),
    ...(place === undefined ? roomTrials(problem, judged) : []),
    ...ruleTrials(problem, guest, judged),
  ].toSorted((a, b) => a.size - b.size)
  return trials.flatMap((trial): SmallestChange[] => {
    const host = placeGuests(trial.problem, { refineEffortMax: 0 }).places.get(guest)
    if (host === undefined || !isBetter(host, trial)) return []
    const there = trial.subject === host ? 'there' : `on ${host}`
    const would = place === undefined ? `it could run ${there}` : `it would be placed ${there}`
    return [{ kind: trial.kind, subject: trial.subject, host, text: `if ${trial.condition}, ${would}` }]
  })
}

/** One host at a time comes back, or ends its maintenance. */
function usableHostTrials(
  problem: PlanningProblem,
  judged: readonly HostJudgement[],
  place: HostId | undefined,
): Trial[] {
  const unusable = judged.filter(({ host, objection }) => objection?.kind === 'unusable' && host !== place)
  return unusable
    .flatMap(({ host, objection }): Trial[] => {
      const why = objection?.kind === 'unusable' ? objection.because : ''
      const change = CONDITIONS.find(({ because }) => because.test(why))
      if (change === undefined) return []
      const usable = withHost(problem, host, (known) => ({ ...known, unusableBecause: '' }))
      return [{ kind: 'host', subject: host, condition: change.of(host), problem: usable, size: change.size }]
    })
    .slice(0, TRIALS_MAX)
}

/** Why a host can't be used, as the records' problem says it, and what would end that. A witness stays a witness. */
const CONDITIONS = [
  { because: /maintenance/, of: (host: HostId) => `${host} were not in maintenance`, size: 0 },
  { because: /shut down/, of: (host: HostId) => `the shutdown of ${host} were called off`, size: 0 },
  { because: /lost|online/, of: (host: HostId) => `${host} were back`, size: 20 },
] as const

/** One host at a time gets what it lacks, and no more. */
function roomTrials(problem: PlanningProblem, judged: readonly HostJudgement[]): Trial[] {
  const trials = judged.flatMap(({ host, objection }): Trial[] => {
    if (objection?.kind === 'memory') {
      const bytes = objection.neededBytes - objection.freeBytes
      const roomier = withHost(problem, host, (known) => ({ ...known, memoryBytes: known.memoryBytes + bytes }))
      const condition = `${host} had ${Math.max(1, mib(bytes + 2 ** 20 - 1))} MiB more of memory free`
      return [{ kind: 'memory', subject: host, condition, problem: roomier, size: bytes / objection.neededBytes }]
    }
    if (objection?.kind === 'cpus') {
      const cpus = objection.needed - objection.free
      const roomier = withHost(problem, host, (known) => ({ ...known, cpus: known.cpus + cpus }))
      const condition = `${host} had ${Math.ceil(cpus * 100) / 100} processors more free`
      return [{ kind: 'cpus', subject: host, condition, problem: roomier, size: cpus / objection.needed }]
    }
    return []
  })
  return trials.toSorted((a, b) => a.size - b.size).slice(0, TRIALS_MAX)
}

/** One rule at a time is only a wish, or is gone where it can be no wish. */
function ruleTrials(problem: PlanningProblem, guest: GuestId, judged: readonly HostJudgement[]): Trial[] {
  const named = new Set(
    judged.flatMap(({ objection }) => {
      if (objection === undefined) return []
      if ('rules' in objection) return objection.rules
      return 'rule' in objection ? [objection.rule] : []
    }),
  )
  // A rule may stand behind another one, so all that name the guest are tried, those that were met first.
  const strict = problem.rules.filter((rule) => named.has(rule.id) || (rule.guests.includes(guest) && isStrict(rule)))
  return strict
    .toSorted((a, b) => Number(named.has(b.id)) - Number(named.has(a.id)))
    .slice(0, TRIALS_MAX)
    .map((rule) => {
      const others = problem.rules.filter(({ id }) => id !== rule.id)
      const condition = rule.kind === 'ban' ? `there were no rule ${rule.id}` : `rule ${rule.id} were not strict`
      return {
        kind: 'rule',
        subject: rule.id,
        condition,
        problem: { ...problem, rules: [...others, ...asWish(rule)] },
        size: 10,
      }
    })
}

function isStrict(rule: Rule): boolean {
  return rule.kind === 'ban' || (rule.kind !== 'order' && rule.strict)
}

function asWish(rule: Rule): Rule[] {
  return rule.kind === 'ban' || rule.kind === 'order' ? [] : [{ ...rule, strict: false }]
}

function withHost(problem: PlanningProblem, id: HostId, change: (host: PlanningHost) => PlanningHost): PlanningProblem {
  return { ...problem, hosts: problem.hosts.map((host) => (host.id === id ? change(host) : host)) }
}
