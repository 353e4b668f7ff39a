/** Containers among the guests of a plan, and what fails of their live moves. Drawn by a chance of its own. */
import type { FaultCommand } from './fault-commands.ts'
import type { FaultPlan } from './fault-plan.ts'
import { SeededRandom } from './seeded-random.ts'

const CONTAINER_SALT = 0xc7c7
/** Of worlds that have some; then of the guests, and of their moves that fail. */
const SHARES = { worlds: 0.4, guests: 0.6, failing: 0.4 } as const
const MOVES = new Set(['move-live', 'move-post-copy'])

/** Each further move that is asked for begins with one that CRIU may not bring to an end. */
export function withContainers({ world, commands }: FaultPlan, seed: number): FaultPlan {
  const random = new SeededRandom(seed ^ CONTAINER_SALT)
  if (random.fraction() >= SHARES.worlds) return { world, commands }
  const containers = Object.keys(world.guests).filter(() => random.fraction() < SHARES.guests)
  const more = commands.flatMap(({ atMs, verb, args: [guest = ''] }): FaultCommand[] => {
    if (!MOVES.has(verb) || !containers.includes(guest) || random.fraction() >= SHARES.failing) return []
    return [{ atMs, verb: random.pick(['dump-fails', 'restore-fails']), args: [guest] }]
  })
  return { world: { ...world, containers }, commands: [...more, ...commands].toSorted((a, b) => a.atMs - b.atMs) }
}
