/** A cluster file as a simulated cluster: its hosts, its guests where they ran, its rules and its policy. */
import { DEFAULT_POLICY } from '@stead/core/model/cluster-policy.ts'
import { stateOf } from '@stead/core/model/cluster-file-state.ts'
import type { ClusterFile } from '@stead/core/model/cluster-file.ts'
import type { CoordinatorClaim } from '@stead/core/model/cluster.ts'
import type { HostStatus } from '@stead/core/model/host.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Rule } from '@stead/core/model/rule.ts'
import { isSoundlyRunning } from './scenario-expectations.ts'
import { put } from './user-requests.ts'
import { guestId } from './world-records.ts'
import { SLOTS, WORLD_BLOCK_BYTES } from './world-storage.ts'
import { POOL_BYTES, World, type WorldMachine } from './world.ts'

/** Every scenario begins at this moment of its world: by then all guests run and every host is heard. */
export const SCENARIO_START_MS = 20_000
const SETTLED_MS = SCENARIO_START_MS / 4

/**
 * The file must have passed `parseClusterFile`. Disks have the simulator's own size, whatever the file says. Returns
 * the world at `SCENARIO_START_MS`, and one sentence for each guest that does not run where the file has it.
 */
export async function scenarioWorld(
  file: ClusterFile,
  seed: number,
): Promise<{ world: World; problems: readonly string[] }> {
  const world = new World({
    seed,
    machines: file.hosts.map(machineOf),
    guests: {},
    // All hosts of a simulated world have the same version.
    live: file.hosts.some(({ qemuVersion }) => qemuVersion !== undefined),
  })
  writeRules(world, file)
  for (const { name, state } of file.hosts) if (state === 'lost') world.perform({ verb: 'power-off', args: [name] })
  const present = file.hosts.filter(({ state }) => state !== 'lost')
  // All are there before the first guest gets its place.
  await world.until(() => present.every(({ name }) => isOnline(world, name)), SETTLED_MS)
  // Whichever was quickest at the boot: in a scenario the first host coordinates.
  const term = world.record<CoordinatorClaim>(KEYS.coordinator)?.term ?? 0
  const first = present[0]?.name as HostId
  put(world, KEYS.coordinator, { host: first, term: term + 1 } satisfies CoordinatorClaim)
  world.checks.grants.committed(first, { compares: [], writes: [] })
  writeGuests(world, file)
  const homes = file.guests.flatMap(({ name, host, ha }) =>
    host === undefined || ha === 'stopped' ? [] : [{ name, host }],
  )
  await world.until(() => homes.every(({ name }) => isSoundlyRunning(world, name)), SETTLED_MS)
  for (const { name } of homes) {
    const guest = world.guest(name)
    if (!guest) continue
    // It has served to bring the guest home: nobody has asked for this host.
    const { preferredHost: _home, ...settled } = guest
    put(world, KEYS.guest(guest.id), settled)
  }
  await world.clock.advance(SCENARIO_START_MS - world.clock.monotonicMs())
  const problems = homes
    .filter(({ name, host }) => !isSoundlyRunning(world, name) || world.grant(name)?.host !== host)
    .map(
      ({ name, host }) =>
        `at the start ${name} does not run on ${host}, but on ${world.runsOn(name).join() || 'no host'}`,
    )
  return { world, problems }
}

function machineOf({
  name,
  role = 'compute',
  memoryBytes,
  cpus,
  poolBytes = POOL_BYTES,
}: ClusterFile['hosts'][number]): WorldMachine {
  return { id: name as HostId, role, memoryBytes, cpuCount: cpus, poolBytes }
}

function isOnline(world: World, name: string): boolean {
  return world.record<HostStatus>(KEYS.status(name as HostId))?.state === 'online'
}

function writeRules(world: World, file: ClusterFile): void {
  const { policies } = stateOf(file)
  put(world, KEYS.clusterPolicy, { ...DEFAULT_POLICY, ...file.policy })
  for (const [host, { value }] of policies) put(world, KEYS.policy(host), value)
  for (const rule of file.rules)
    put(world, KEYS.rule(rule.id), { ...rule, guests: rule.guests.map((name) => guestId(name)) } satisfies Rule)
}

function writeGuests(world: World, file: ClusterFile): void {
  const { guests, volumes } = stateOf(file)
  for (const { value } of volumes.values()) {
    const volume = { ...value, guest: guestId(value.guest), sizeBytes: SLOTS * WORLD_BLOCK_BYTES }
    for (const { host, pool } of volume.replicas)
      void world.host(host).volumes.createReplica({ volume: volume.id, sizeBytes: volume.sizeBytes, pool })
    world.checks.writes.watch(volume.id, volume.guest)
    put(world, KEYS.volume(volume.id), volume)
  }
  const homes = new Map(file.guests.map(({ name, host }) => [name as GuestId, host as HostId | undefined]))
  for (const [index, { value: guest }] of [...guests.values()].entries()) {
    const home = homes.get(guest.id)
    put(world, KEYS.guest(guestId(guest.name)), {
      ...guest,
      id: guestId(guest.name),
      createdAt: index + 1,
      ...(home === undefined ? {} : { preferredHost: home }),
    })
  }
}
