/** Finds guests of which each must start before the next, and the last before the first. */
import type { GuestId } from '../model/ids.ts'
import type { Rule, RuleId } from '../model/rule.ts'

export interface OrderCycle {
  /** Each before the next, the last before the first. */
  readonly guests: readonly GuestId[]
  readonly rules: readonly RuleId[]
}

interface Step {
  readonly to: GuestId
  readonly rule: RuleId
}

/** Depth first with its own stack: a chain of a million guests must not be one of a million calls. */
export function orderCycleIn(rules: readonly Rule[]): OrderCycle | undefined {
  const steps = new Map<GuestId, Step[]>()
  for (const rule of rules) {
    if (rule.kind !== 'order') continue
    for (const [index, to] of rule.guests.slice(1).entries()) {
      const from = rule.guests[index]!
      const known = steps.get(from)
      if (known === undefined) steps.set(from, [{ to, rule: rule.id }])
      else known.push({ to, rule: rule.id })
    }
  }
  const finished = new Set<GuestId>()
  for (const start of steps.keys()) {
    if (finished.has(start)) continue
    /** The way from the start: each guest with the step taken from it. */
    const way: { guest: GuestId; next: number }[] = [{ guest: start, next: 0 }]
    const onWay = new Set<GuestId>([start])
    for (let top = way.at(-1); top !== undefined; top = way.at(-1)) {
      const step = steps.get(top.guest)?.[top.next++]
      if (step === undefined) {
        finished.add(top.guest)
        onWay.delete(top.guest)
        way.pop()
      } else if (onWay.has(step.to)) {
        const around = way.slice(way.findIndex(({ guest }) => guest === step.to))
        const ruleIds = around.map(({ guest, next }) => steps.get(guest)![next - 1]!.rule)
        return { guests: around.map(({ guest }) => guest), rules: [...new Set(ruleIds)] }
      } else if (!finished.has(step.to)) {
        way.push({ guest: step.to, next: 0 })
        onWay.add(step.to)
      }
    }
  }
  return undefined
}
