/** Random planning problems for property tests: hosts of which some are lost, guests of all kinds, up to four rules. */
import fc from 'fast-check'
import type { HostId } from '../model/ids.ts'
import type { Rule } from '../model/rule.ts'
import { placeGuests } from './place.ts'
import { aGuest, aHost, apart, aProblem, banned, GIB, onHosts, together } from './planning-fixture.ts'
import type { PlanningProblem } from './problem.ts'

interface Size {
  readonly hosts: number
  readonly guests: number
}

export function problems(size: Size): fc.Arbitrary<PlanningProblem> {
  const hostNames = Array.from({ length: size.hosts }, (_, index) => `h${index}`)
  const guestNames = Array.from({ length: size.guests }, (_, index) => `g${index}`)
  const some = (names: readonly string[], min: number, max: number) =>
    fc.uniqueArray(fc.constantFrom(...names), { minLength: min, maxLength: Math.min(max, names.length) })
  const hosts = fc.tuple(
    ...hostNames.map((id) =>
      fc
        .record({
          gib: fc.integer({ min: 4, max: 16 }),
          rack: fc.constantFrom('r1', 'r2', 'r3'),
          usable: fc.boolean(),
          gpus: fc.nat(2),
        })
        .map(({ gib, rack, usable, gpus }) =>
          aHost(id, {
            memoryBytes: gib * GIB,
            cpus: 12,
            faultDomains: { rack },
            devices: { gpu: gpus },
            // Most hosts are well.
            unusableBecause: usable || id === 'h0' ? '' : 'it is lost',
          }),
        ),
    ),
  )
  const guests = fc.tuple(
    ...guestNames.map((name) =>
      fc
        .record({
          gib: fc.integer({ min: 1, max: 8 }),
          cpus: fc.integer({ min: 1, max: 4 }),
          priority: fc.nat(2),
          gpu: fc.nat(8),
          failedOn: some(hostNames, 0, 1),
          near: some(hostNames, 0, 2),
        })
        .map(({ gib, cpus, priority, gpu, failedOn, near }) =>
          aGuest(name, {
            memoryBytes: gib * GIB,
            cpus,
            priority,
            devices: gpu === 0 ? { gpu: 1 } : {},
            failedOn: failedOn as HostId[],
            near: near as HostId[],
          }),
        ),
    ),
  )
  const rule: fc.Arbitrary<(id: string) => Rule> = fc.oneof(
    fc
      .record({ members: some(guestNames, 2, 3), strict: fc.boolean() })
      .map((r) => (id: string) => together(id, r.members, r.strict)),
    fc
      .record({ members: some(guestNames, 2, 3), strict: fc.boolean(), across: fc.constantFrom('host', 'rack') })
      .map((r) => (id: string) => apart(id, r.members, r)),
    fc
      .record({ members: some(guestNames, 1, 2), on: some(hostNames, 1, 3), strict: fc.boolean() })
      .map((r) => (id: string) => onHosts(id, r.members, r.on, r.strict)),
    fc
      .record({ members: some(guestNames, 1, 2), on: some(hostNames, 1, 2) })
      .map((r) => (id: string) => banned(id, r.members, r.on)),
  )
  const rules = fc.array(rule, { maxLength: 4 }).map((made) => made.map((make, index) => make(`rule${index}`)))
  return fc.tuple(hosts, guests, rules).map(([h, g, r]) => aProblem(h, g, r))
}

/** With the first guests running already, wherever the plan for them alone puts them. */
export function partlyRunning(problem: PlanningProblem, running: number): PlanningProblem {
  const first = problem.guests.slice(0, running)
  const { places } = placeGuests({ ...problem, guests: first })
  const guests = problem.guests.map((guest) => {
    const at = places.get(guest.id)
    return at === undefined ? guest : { ...guest, at, needsPlace: false }
  })
  return { ...problem, guests }
}
