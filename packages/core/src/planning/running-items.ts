/** What runs and could be moved, as items. */
import { NOWHERE } from './compiled.ts'
import { makeItem, type Item } from './item.ts'
import type { Occupancy } from './occupancy.ts'

/** Guests on usable hosts; those of a unit move as one, or not at all while they are on several hosts. */
export function runningItems({ problem, placeOf }: Occupancy, mayMove: (guest: number) => boolean): Item[] {
  const items: Item[] = []
  for (const [index, place] of placeOf.entries()) {
    if (place === NOWHERE || problem.isUsable[place] === 0) continue
    const members = problem.unitOf[index]?.members.filter((member) => placeOf[member] !== NOWHERE) ?? [index]
    if (members[0] !== index) continue
    if (members.every((member) => placeOf[member] === place && mayMove(member)))
      items.push(Object.assign(makeItem(problem, members), { place }))
  }
  return items
}
