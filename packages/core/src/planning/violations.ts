/** Where what runs now breaks a strict rule or takes more than its host has: mostly because something was set later. */
import type { GuestId, HostId } from '../model/ids.ts'
import type { RuleId } from '../model/rule.ts'
import { compileProblem, NOWHERE } from './compiled.ts'
import { makeItem } from './item.ts'
import { objectionTo, sentenceOf, type Objection } from './objection.ts'
import { Occupancy } from './occupancy.ts'
import type { PlanningProblem } from './problem.ts'

export interface Violation {
  readonly guest: GuestId
  readonly host: HostId
  /** Empty when the host itself is too full. */
  readonly rules: readonly RuleId[]
  /** After the name of the host: "rule a keeps web1 apart from web2, which is there". */
  readonly why: string
}

/** Each guest on a usable host that could not be put there today, with the first thing that stands against it. */
export function violationsIn(problem: PlanningProblem): Violation[] {
  const occupancy = new Occupancy(compileProblem(problem))
  const { guests, hosts, isUsable } = occupancy.problem
  const found: Violation[] = []
  for (const [index, place] of occupancy.problem.placeOf.entries()) {
    if (place === NOWHERE || isUsable[place] === 0) continue
    const item = Object.assign(makeItem(occupancy.problem, [index]), { place })
    occupancy.lift(item)
    const objection = objectionTo(occupancy, item, place)
    occupancy.put(item, place)
    if (objection === undefined) continue
    found.push({
      guest: guests[index]!.id,
      host: hosts[place]!.id,
      rules: rulesOf(objection),
      why: sentenceOf(objection),
    })
  }
  return found
}

function rulesOf(objection: Objection): readonly RuleId[] {
  if ('rules' in objection) return objection.rules
  return 'rule' in objection ? [objection.rule] : []
}
