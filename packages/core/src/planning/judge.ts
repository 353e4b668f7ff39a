/** The answer to "why there?": each host judged for one item, as all others were placed in the end. */
import type { Candidate } from '../model/decision.ts'
import type { HostId } from '../model/ids.ts'
import { ASKED_FOR, NOWHERE, type CompiledProblem } from './compiled.ts'
import { COST, sharesOfWish, type Item } from './item.ts'
import { mib, objectionTo, sentenceOf, type Objection } from './objection.ts'
import type { Occupancy } from './occupancy.ts'

export interface HostJudgement {
  readonly host: HostId
  readonly chosen: boolean
  readonly objection: Objection | undefined
  /** What speaks for it, best first; then what speaks against it without ruling it out. */
  readonly merits: readonly string[]
  /** What the guests themselves would rather have; lower is better. */
  readonly wishCost: number
  /** How unevenly all hosts would be filled. */
  readonly spread: number
}

/** The chosen host first, then the others that would do, the best first, then those that would not. */
export function judgeHosts(occupancy: Occupancy, item: Item): HostJudgement[] {
  const { hosts } = occupancy.problem
  const place = item.place
  if (place !== NOWHERE) occupancy.lift(item)
  const judged = hosts.map((host, index): HostJudgement => {
    const objection = objectionTo(occupancy, item, index)
    return {
      host: host.id,
      chosen: index === place,
      objection,
      merits: meritsOf(occupancy, item, index),
      wishCost: occupancy.wishCostAt(item, index),
      spread: objection === undefined ? occupancy.spreadWith(item, index) : Infinity,
    }
  })
  if (place !== NOWHERE) occupancy.put(item, place)
  const rank = (one: HostJudgement) => (one.chosen ? 0 : one.objection === undefined ? 1 : 2)
  return judged.toSorted((a, b) => rank(a) - rank(b) || a.wishCost - b.wishCost || compare(a.spread, b.spread))
}

export function candidatesOf(judged: readonly HostJudgement[]): Candidate[] {
  const chosen = judged.find((one) => one.chosen)
  return judged.map((one) => ({
    host: one.host,
    chosen: one.chosen,
    rejectedBecause: rejection(one, chosen),
    merits: one.merits,
  }))
}

/** Why a guest has no place, in one sentence. */
export function whyNowhere(judged: readonly HostJudgement[]): string {
  const objections = judged.flatMap(({ host, objection }) => (objection === undefined ? [] : [{ host, objection }]))
  const usable = objections.filter(({ objection }) => objection.kind !== 'unusable')
  if (usable.length === 0) return 'no host can be used'
  const freeBytes = ({ objection }: (typeof usable)[number]) => (objection.kind === 'memory' ? objection.freeBytes : 0)
  const [most] = usable.toSorted((a, b) => freeBytes(b) - freeBytes(a))
  if (most?.objection.kind === 'memory' && usable.every(({ objection }) => objection.kind === 'memory'))
    return `no host has ${mib(most.objection.neededBytes)} MiB of memory free; ${most.host} has most, ${mib(most.objection.freeBytes)} MiB`
  const named = usable.slice(0, HOSTS_NAMED).map(({ host, objection }) => `${host}: ${sentenceOf(objection)}`)
  const more = usable.length - named.length
  return named.join('; ') + (more > 0 ? `; and ${more} more hosts` : '')
}

/** In one sentence. */
const HOSTS_NAMED = 4

function rejection(one: HostJudgement, chosen: HostJudgement | undefined): string {
  if (one.chosen) return ''
  if (one.objection !== undefined) return sentenceOf(one.objection)
  if (chosen === undefined) return ''
  const [better, merit] = [`${chosen.host} is better`, chosen.merits[0] ?? 'it comes first']
  if (one.wishCost >= COST.failed / 2 && chosen.wishCost < COST.failed / 2)
    return `${better}: the guest did not fail there lately`
  if (chosen.wishCost < one.wishCost - ROUNDING) return `${better}: ${merit}`
  if (chosen.wishCost > one.wishCost + ROUNDING) return `${chosen.host} was taken so that all guests have a place`
  if (chosen.spread < one.spread - ROUNDING) return `${better}: all hosts are filled more evenly that way`
  return `${chosen.host} is as good`
}

const ROUNDING = 1e-9

function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function meritsOf(occupancy: Occupancy, item: Item, host: number): string[] {
  const { problem } = occupancy
  const { id } = problem.hosts[host]!
  const guests = item.members.map((member) => problem.guests[member]!)
  const merits = wishMerits(problem, item, id)
  const local = guests.filter((guest) => guest.near.includes(id))
  if (local.length > 0)
    merits.push(
      local.length === guests.length
        ? `${guests.length === 1 ? 'its' : 'their'} disks are local`
        : `the disks of ${local.map(({ name }) => name).join(', ')} are local`,
    )
  if (item.members.length > 1)
    merits.push(`${guests.map(({ name }) => name).join(', ')} are placed together by ${item.unit?.rules.join(', ')}`)
  merits.push(`${mib(problem.memoryBytes[host]! - occupancy.usedMemory[host]!)} MiB of memory free`)
  for (const guest of guests)
    if (guest.failedOn.includes(id))
      merits.push(`but ${guests.length === 1 ? 'the guest' : guest.name} failed there lately`)
  return merits
}

function wishMerits(problem: CompiledProblem, item: Item, id: HostId): string[] {
  const merits: string[] = []
  for (const member of item.members) {
    const { meantFor } = problem.guests[member]!
    if (meantFor?.host === id) merits.push(meantFor.because)
  }
  for (const member of item.members)
    for (const rule of problem.hostRulesOf[member] ?? []) {
      if (rule.kind === 'ban') continue
      const share = sharesOfWish(rule).find(({ host }) => host === id)?.share
      if (share === undefined) continue
      if (rule.id === ASKED_FOR) merits.push('the host that was asked for')
      else merits.push(share === 1 ? `rule ${rule.id} asks for it first` : `rule ${rule.id} names it, after others`)
    }
  return merits
}
