/**
 * N+k by real packing: were any k hosts lost now, would every guest that must go on have a place? No slots and no
 * percentages: each loss is planned as recovery would plan it.
 */
import type { GuestId, HostId } from '../model/ids.ts'
import { compileProblem, NOWHERE, type CompiledProblem } from './compiled.ts'
import { whyNowhere } from './judge.ts'
import { mib } from './objection.ts'
import { Occupancy } from './occupancy.ts'
import { placeInto } from './place.ts'
import type { PlanningGuest, PlanningProblem } from './problem.ts'

export interface AdmissionOptions {
  /** How many hosts may be lost at a time. */
  readonly hostFailures: number
  /** Guests that must go on after a loss; all when not given. */
  readonly isProtected?: (guest: PlanningGuest) => boolean
}

export interface AdmissionBreach {
  readonly lost: readonly HostId[]
  /** Most important first. */
  readonly unplaced: readonly { readonly guest: GuestId; readonly reason: string }[]
  /** "if h2 died now, g7 (16 GiB) would have no place" */
  readonly text: string
}

export interface Admission {
  readonly ok: boolean
  readonly breaches: readonly AdmissionBreach[]
  /** Losses that were planned, and how many there are: of many hosts only the fullest are combined. */
  readonly checked: number
  readonly possible: number
}

/** Combinations of more than one host that are planned at most. */
const COMBINATIONS_MAX = 500

export function admission(problem: PlanningProblem, { hostFailures, isProtected }: AdmissionOptions): Admission {
  const compiled = compileProblem(problem)
  const present = new Occupancy(compiled)
  const waiting = [...compiled.guests.keys()].filter((index) => compiled.guests[index]!.needsPlace)
  // What has no place even now is no consequence of a loss.
  const waitsAnyway = new Set(placeInto(present, waiting, { refineEffortMax: 0 }).unplaced)
  const settled: CompiledProblem = { ...compiled, placeOf: present.placeOf.slice() }
  const guestsAt = compiled.hosts.map((): number[] => [])
  for (const [index, place] of settled.placeOf.entries()) if (place !== NOWHERE) guestsAt[place]!.push(index)

  const fullestFirst = compiled.usable.toSorted((a, b) => present.fill(b) - present.fill(a))
  const failures = Math.min(hostFailures, fullestFirst.length)
  const combined = failures === 1 ? fullestFirst.length : hostsToCombine(fullestFirst.length, failures)
  const breaches: AdmissionBreach[] = []
  let checked = 0
  for (const lost of combinationsOf([...fullestFirst.subarray(0, combined)], failures)) {
    checked++
    const breach = breachWithout(settled, lost, guestsAt, isProtected ?? (() => true))
    const unplaced = breach.filter(({ guest }) => !waitsAnyway.has(guest.id))
    if (unplaced.length === 0) continue
    const hosts = lost.map((host) => compiled.hosts[host]!.id)
    breaches.push({
      lost: hosts,
      unplaced: unplaced.map(({ guest, reason }) => ({ guest: guest.id, reason })),
      text: sentence(
        hosts,
        unplaced.map(({ guest }) => guest),
      ),
    })
  }
  return { ok: breaches.length === 0, breaches, checked, possible: combinations(fullestFirst.length, failures) }
}

function breachWithout(
  settled: CompiledProblem,
  lost: readonly number[],
  guestsAt: readonly (readonly number[])[],
  isProtected: (guest: PlanningGuest) => boolean,
): { guest: PlanningGuest; reason: string }[] {
  const { guests } = settled
  const homeless = lost.flatMap((host) => guestsAt[host]!)
  const needing = homeless.filter((index) => isProtected(guests[index]!))
  if (needing.length === 0) return []
  const placeOf = settled.placeOf.slice()
  for (const index of homeless) placeOf[index] = NOWHERE
  const isUsable = settled.isUsable.slice()
  for (const host of lost) isUsable[host] = 0
  const hosts = settled.hosts.map((host, index) =>
    lost.includes(index) ? { ...host, unusableBecause: 'it is the one that is lost' } : host,
  )
  const usable = settled.usable.filter((host) => isUsable[host] === 1)
  const without: CompiledProblem = { ...settled, placeOf, isUsable, hosts, usable }
  const placement = placeInto(new Occupancy(without), needing, { refineEffortMax: 0 })
  return placement.unplaced.map((id) => ({
    guest: guests[settled.guestIndex.get(id)!]!,
    reason: whyNowhere(placement.judge(id)),
  }))
}

function sentence(hosts: readonly HostId[], guests: readonly PlanningGuest[]): string {
  const named = guests.slice(0, GUESTS_NAMED).map(({ name, memoryBytes }) => `${name} (${size(memoryBytes)})`)
  const more = guests.length - named.length
  const who = more > 0 ? `${named.join(', ')} and ${more} more` : named.join(' and ')
  return `if ${hosts.join(' and ')} died now, ${who} would have no place`
}

/** In one sentence. */
const GUESTS_NAMED = 2

function size(bytes: number): string {
  return mib(bytes) % 1024 === 0 ? `${mib(bytes) / 1024} GiB` : `${mib(bytes)} MiB`
}

/** Of how many hosts all combinations can be planned. */
function hostsToCombine(hosts: number, failures: number): number {
  let count = failures
  while (count < hosts && combinations(count + 1, failures) <= COMBINATIONS_MAX) count++
  return count
}

function combinations(from: number, choose: number): number {
  let count = 1
  for (let index = 0; index < choose; index++) count = (count * (from - index)) / (index + 1)
  return Math.round(count)
}

function* combinationsOf(from: readonly number[], choose: number): Generator<readonly number[]> {
  if (choose === 0) return void (yield [])
  for (const [index, first] of from.entries())
    for (const rest of combinationsOf(from.slice(index + 1), choose - 1)) yield [first, ...rest]
}
