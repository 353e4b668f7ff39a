/** Worlds full of faults, each drawn from a seed: what goes wrong in one goes wrong again with the same seed. */
import { failuresMax, type Guest, type GuestObservation } from '@stead/core/model/guest.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { filesOf, isActive } from '@stead/core/model/records.ts'
import { Availability } from './checks/availability.ts'
import { planFaults, type FaultPlan } from './fault-plan.ts'
import { hasRoom } from './world-health.ts'
import { POOLS } from './world-storage.ts'
import { World } from './world.ts'

/** In the world's time: how long the cluster may take to come to rest once everything is healed. */
const RECOVERY_MS = 60_000
/** How long guests may take to stop in the end: a shutdown that is not heard is given up after 30 s. */
const STOP_MS = 60_000
const LOOK_MS = 1_000

export interface FuzzReport {
  /** What must not have happened, one sentence each; empty when all went well. */
  readonly violations: readonly string[]
  /** What was done, and what the agents said to it, one line each. */
  readonly log: readonly string[]
  readonly virtualMs: number
  /** Timers that ran: the events of this world. */
  readonly events: number
  readonly acknowledged: number
}

export function fuzzWorld(seed: number): Promise<FuzzReport> {
  return playPlan(planFaults(seed))
}

/** Plays a plan up to its first violation, lets the cluster come to rest, and looks at what is left. */
export async function playPlan({ world: options, commands }: FaultPlan): Promise<FuzzReport> {
  const world = new World(options)
  const { checks, clock } = world
  const availability = new Availability(world)
  const isSound = () => checks.violations.length === 0
  const lookTo = async (untilMs: number) => {
    while (isSound() && clock.monotonicMs() < untilMs) {
      await clock.advance(Math.min(LOOK_MS, untilMs - clock.monotonicMs()))
      availability.look()
    }
  }
  for (const command of commands) {
    await lookTo(command.atMs)
    if (!isSound()) break
    world.perform(command)
  }
  if (isSound()) {
    world.perform({ verb: 'heal', args: [] })
    await clock.advance(LOOK_MS)
    const areAtRest = () => world.guests().every((guest) => isAtRest(world, guest))
    const haveRested = await world.until(() => !isSound() || areAtRest(), RECOVERY_MS)
    for (const guest of world.guests())
      if (isSound() && !haveRested && !isAtRest(world, guest))
        checks.violate(`${RECOVERY_MS} ms after all was healed: ${stateOf(world, guest)}`)
  }
  if (isSound()) await stopAll(world)
  // What happened in the last moment is told a moment later.
  await clock.advance(LOOK_MS)
  if (isSound()) checks.outages.look()
  world.close()
  return {
    violations: checks.violations,
    log: world.log,
    virtualMs: clock.monotonicMs(),
    events: clock.ran,
    acknowledged: checks.writes.acknowledged,
  }
}

async function stopAll(world: World): Promise<void> {
  for (const { name } of world.guests()) world.perform({ verb: 'stop', args: [name] })
  const isStopped = () => world.guests().every(({ name }) => !isActive(world.grant(name)))
  await world.until(() => world.checks.violations.length > 0 || isStopped(), STOP_MS)
  for (const guest of world.guests()) {
    if (isActive(world.grant(guest.name))) world.checks.violate(`${guest.name} does not stop`)
    // After an unclean end the next run begins with one of them.
    else if (world.grant(guest.name)?.clean) for (const volume of guest.volumes) world.checks.writes.allEqual(volume)
    for (const host of world.hostIds)
      for (const volume of guest.volumes) {
        const named = filesOf(world.volume(guest.name)).filter((file) => file.host === host)
        for (const pool of POOLS) {
          const isThere = world.host(host).volumes.contentOf(volume, pool) !== undefined
          if (isThere && !named.some((file) => file.pool === pool))
            world.checks.violate(`${host}/${pool} still has a file of ${volume}, which no record names`)
        }
      }
  }
}

/** Also a replica's move is over; but what an unclean end has left, only the guest's next run makes equal. */
function hasMoved(world: World, { name }: Guest): boolean {
  const { id: volume, move } = world.volume(name)
  const grant = world.grant(name)
  const waitsForRun = grant?.state === 'released' && !grant.clean
  const isRemoving = world.removals(volume).length > 0
  return (move === undefined || waitsForRun) && !isRemoving
}

/** All replicas have made room, and where it runs they have the size that the record says. */
function hasGrown(world: World, { name }: Guest): boolean {
  const { id: volume, growTo, sizeBytes, replicas } = world.volume(name)
  if (growTo !== undefined) return false
  const sizes = replicas.map(({ host, pool }) => world.host(host).volumes.contentOf(volume, pool)?.sizeBytes)
  return !world.isRunning(name) || sizes.every((size) => size === sizeBytes)
}

/** As its user wants it, ready if it has a probe, and protected; or left in `error`, which only a user ends; or without room on any host. */
function isAtRest(world: World, guest: Guest): boolean {
  if (guest.deleting) return false
  const { failures = 0, readiness } = world.record<GuestObservation>(KEYS.observation(guest.id)) ?? {}
  const isActiveNow = isActive(world.grant(guest.name))
  const isOfUse = world.isRunning(guest.name) && (!guest.lifecycle?.probe || readiness?.ready === true)
  const isAsWanted = guest.desired === 'stopped' ? !isActiveNow : isOfUse
  const hasPlace = world.hostIds.some((id) => hasRoom(world, id, guest.id))
  const isLeftAlone = !isActiveNow && (failures >= failuresMax(guest) || !hasPlace)
  return (
    (isAsWanted || isLeftAlone) && hasMoved(world, guest) && hasGrown(world, guest) && world.isProtected(guest.name)
  )
}

function stateOf(world: World, guest: Guest): string {
  const replicas = world.volume(guest.name).replicas.map((each) => `${each.host} ${each.state}`)
  const runs = world.runsOn(guest.name).join(', ') || 'nowhere'
  const wish = guest.deleting ? 'to be deleted' : guest.desired
  const { move } = world.volume(guest.name)
  const moving = move ? `; it moves: ${JSON.stringify(move)}` : ''
  const growing = hasGrown(world, guest) ? '' : '; it has not grown'
  return `${guest.name} is to be ${wish}, runs on ${runs}; its replicas: ${replicas.join(', ')}${moving}${growing}`
}
