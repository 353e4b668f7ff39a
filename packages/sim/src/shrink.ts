/** Makes a plan that breaks a promise as small as it can be while it still breaks one. */
import type { FaultCommand } from './fault-commands.ts'
import type { FaultPlan } from './fault-plan.ts'
import { playPlan } from './world-fuzz.ts'

/** Plays at most; each costs a tenth of a second or so. */
const PLAYS_MAX = 200

export interface Shrunk {
  readonly plan: FaultPlan
  /** The first promise that the small plan breaks. */
  readonly violation: string
  readonly plays: number
}

/** Undefined when the plan breaks nothing. */
export async function shrink(plan: FaultPlan): Promise<Shrunk | undefined> {
  let plays = 0
  const breaks = async (candidate: FaultPlan): Promise<string | undefined> => {
    plays += 1
    return (await playPlan(candidate)).violations[0]
  }
  let violation = await breaks(plan)
  if (violation === undefined) return undefined
  let best = plan
  const attempt = async (candidate: FaultPlan): Promise<boolean> => {
    if (plays >= PLAYS_MAX) return false
    const broken = await breaks(candidate)
    if (broken === undefined) return false
    best = candidate
    violation = broken
    return true
  }
  // What comes after the violation did not cause it.
  const atMs = Number(/^at (\d+) ms/.exec(violation)?.[1] ?? Infinity)
  await attempt({ ...best, commands: best.commands.filter((command) => command.atMs <= atMs) })
  for (let size = Math.ceil(best.commands.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let from = best.commands.length - size; from > -size; from -= size) {
      const start = Math.max(0, from)
      const rest = best.commands.filter((_, index) => index < start || index >= start + size)
      if (rest.length < best.commands.length) await attempt({ ...best, commands: rest })
    }
  for (const name of Object.keys(best.world.guests)) {
    const { [name]: _, ...others } = best.world.guests
    if (!best.commands.some((command) => command.args.includes(name)))
      await attempt({ ...best, world: { ...best.world, guests: others } })
  }
  for (let index = best.commands.length - 1; index > 0; index--)
    await attempt({ ...best, commands: sooner(best.commands, index) })
  return { plan: best, violation, plays }
}

/** Half of the pause before a command is left out, for it and all that follow. */
function sooner(commands: readonly FaultCommand[], index: number): readonly FaultCommand[] {
  const pauseMs = (commands[index]?.atMs ?? 0) - (commands[index - 1]?.atMs ?? 0)
  const lessMs = Math.floor(pauseMs / 2)
  return commands.map((command, at) => (at < index ? command : { ...command, atMs: command.atMs - lessMs }))
}
