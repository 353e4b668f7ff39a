/** Worlds full of faults, each drawn from a seed: what goes wrong in one goes wrong again with the same seed. */
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { SeededRandom } from './seeded-random.ts'
import { volumeId } from './world-records.ts'
import { World } from './world.ts'

const FAULTS = 15
const GUESTS = { alpha: ['h1', 'h2'], beta: ['h2', 'h3'] }
const PAIR_SHARE = 0.25
const DWELL_MS_MAX = 6_000
const REST_MS_MAX = 4_000
/** In the world's time: how long the cluster may take to come to rest once everything is healed. */
const RECOVERY_MS = 120_000

export interface FuzzReport {
  readonly seed: number
  /** What must not have happened, one sentence each; empty when all went well. */
  readonly violations: readonly string[]
  /** What was done, one line each. */
  readonly story: readonly string[]
  readonly log: readonly string[]
  readonly virtualMs: number
  readonly acknowledged: number
}

export async function fuzzWorld(seed: number): Promise<FuzzReport> {
  const world = new World({ seed, guests: GUESTS })
  // Apart from the world's own chance, so that a change of the core does not change the faults.
  const random = new SeededRandom(seed ^ 0x5eed)
  const names = Object.keys(GUESTS)
  const story: string[] = []
  const tell = (what: string) => story.push(`${world.clock.monotonicMs().toFixed(0).padStart(7)} ${what}`)
  const recovered = () => names.every((name) => world.isRunning(name) && world.isProtected(name))
  const untilRecovered = async (when: string) => {
    if (await world.clock.until(recovered, RECOVERY_MS)) return
    const states = names.map(
      (name) =>
        `${name} ${world.isRunning(name) ? 'runs' : 'does not run'}, its replicas: ${world
          .volume(name)
          .replicas.map((each) => `${each.host} ${each.state}`)
          .join(', ')}`,
    )
    world.checks.violate(`${when} not everything is whole within ${RECOVERY_MS} ms: ${states.join('; ')}`)
  }
  await untilRecovered('at the start')
  for (let count = 0; count < FAULTS && world.checks.violations.length === 0; count++) {
    const first = random.pick(world.hostIds)
    tell(strike(world, random, first))
    if (random.fraction() < PAIR_SHARE) {
      await world.clock.advance(random.fraction() * 2_000)
      tell(strike(world, random, random.pick(world.hostIds.filter((id) => id !== first))))
    }
    await world.clock.advance(random.fraction() * DWELL_MS_MAX)
    world.healAll()
    tell('everything is healed')
    await world.clock.advance(random.fraction() * REST_MS_MAX)
  }
  await untilRecovered('after all was healed')
  for (const name of names) world.want(name, 'stopped')
  await world.clock.until(() => names.every((name) => world.grant(name)?.state === 'released'), RECOVERY_MS)
  for (const name of names) {
    if (world.grant(name)?.state !== 'released') world.checks.violate(`${name} does not stop`)
    else world.checks.assertEqual(volumeId(name))
  }
  world.close()
  const acknowledged = names.reduce((sum, name) => sum + world.acknowledged(name), 0)
  return {
    seed,
    violations: world.checks.violations,
    story,
    log: world.log,
    virtualMs: world.clock.monotonicMs(),
    acknowledged,
  }
}

function strike(world: World, random: SeededRandom, host: HostId): string {
  const other = random.pick(world.hostIds.filter((id) => id !== host))
  const faults: readonly (readonly [string, () => void])[] = [
    [`${host} loses its power`, () => world.powerOff(host)],
    [`${host} hangs`, () => world.freeze(host)],
    [`${host} loses all its networks`, () => world.cut(host)],
    ...NETWORK_ROLES.map((role) => [`${host} loses its ${role}`, () => world.cut(host, [role])] as const),
    [`${host} and ${other} do not hear each other`, () => world.network.cutBetween(host, other)],
    [`the agent of ${host} dies`, () => world.killAgent(host)],
    [`the storage daemon of ${host} dies`, () => world.killDaemon(host)],
    [`the guardian of ${host} dies`, () => world.killGuardian(host)],
    [`the guests of ${host} die`, () => world.killGuests(host)],
    [`the store's member on ${host} dies`, () => world.killMember(host)],
    [`the store loses an answer`, () => world.store.loseNextAnswer()],
  ]
  const [what, does] = random.pick(faults)
  does()
  return what
}
