/**
 * A whole cluster in one process, answering the real API: simulated hosts that run the real core, in virtual time that
 * keeps pace with the real one. The web interface is developed and tested against it, since it moves by itself: guests
 * start, hosts fail, replicas are copied.
 */
import type { HostId } from '@stead/core/model/ids.ts'
import { Secret, TOTP } from 'otpauth'
import { createClient } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { fetchTransport } from '@stead/api/transport.ts'
import { MemoryGuestAgent } from '@stead/sim/memory-guest-agent.ts'
import { MemoryPowerSwitch } from '@stead/sim/memory-power-switch.ts'
import { WALL_START_MS } from '@stead/sim/virtual-clock.ts'
import { World } from '@stead/sim/world.ts'
import { accessControl } from '../access/access-control.ts'
import { DecisionHistory } from '../decision-history.ts'
import { startApiServer } from '../http/api-server.ts'
import type { WebFiles } from '../http/web-files.ts'
import { realClock } from '../real-clock.ts'
import { simulatedNetworks } from './simulated-networks-fixture.ts'
import { silent, TestBackend, type EndsLater } from './backend-fixture.ts'

const GIB = 2 ** 30
const TICK_MS = 50
const SEED = 7
/** A write of each guest every so often: enough for replicas to be lost by, little to compute. */
const WRITE_MS = 2_000
const DECISIONS_LISTED = 200

export interface SimulatedCluster {
  readonly world: World
  readonly backend: TestBackend
  /** `http://127.0.0.1:PORT` */
  readonly url: string
}

export interface SimulatedClusterOptions {
  /** How many hosts run guests; a witness votes beside them. */
  readonly hosts?: number
  /** 0: any free one. */
  readonly port?: number
  /** The cluster's own token; people sign in, once there are some (`addShownUsers`). */
  readonly token: string
  readonly web?: WebFiles
}

/** Runs until `context` ends. */
export async function startSimulatedCluster(
  context: EndsLater,
  { hosts = 3, port = 0, token, web }: SimulatedClusterOptions,
): Promise<SimulatedCluster> {
  const machines = Array.from({ length: hosts }, (_, index) => ({
    ...{ id: `h${index + 1}` as HostId, role: 'compute' as const },
    ...{ memoryBytes: 64 * GIB, cpuCount: 16, poolBytes: 2_048 * GIB },
  }))
  const witness = { id: 'witness' as HostId, role: 'witness' as const, memoryBytes: 2 * GIB, cpuCount: 2, poolBytes: 0 }
  const decisions = new DecisionHistory(':memory:', silent)
  const world = new World({
    ...{ seed: SEED, machines: [...machines, witness], guests: {}, writeMs: WRITE_MS, live: true },
    keepDecision: (id, input, plan) => decisions.keep(id, input, plan),
  })
  for (const host of world.hosts) host.clock.jumpWall(Date.now() - WALL_START_MS)
  let ended = false
  const passing = passTime(world, () => ended)
  context.after(async () => {
    ended = true
    await passing
    world.close()
    decisions.close()
  })
  const backend = await TestBackend.over(context, 'h1', world.etcd.server, {
    get verdicts() {
      return new Map(world.hostIds.map((id) => [id, world.host(id).isOn ? ('heard' as const) : ('suspected' as const)]))
    },
  })
  backend.decisions = { list: async () => decisions.list(DECISIONS_LISTED), find: (id) => decisions.find(id) }
  backend.networks = simulatedNetworks(world, backend)
  backend.power = new MemoryPowerSwitch(world)
  const agents = new Map(
    [...world.hosts].map(({ id, machine }) => [id, new MemoryGuestAgent({ machine, clock: world.clock })]),
  )
  // One that does not run is looked for where it cannot be, and said not to run.
  backend.guestAgentOf = ({ id }) =>
    (agents.get(backend.mirror.state.grants.get(id)?.value.host ?? ('h1' as HostId)) ?? agents.get('h1' as HostId))!
  await until(() => [...backend.mirror.state.statuses.values()].length > hosts)
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port }],
    ...accessControl(backend.unguarded, {
      ...{ store: backend.store, mirror: backend.mirror, clock: realClock, audit: backend.audit },
    }),
    log: backend.log,
    host: 'h1',
    token,
    ...(web ? { web } : {}),
  })
  context.after(() => server.close())
  const [address] = server.addresses
  if (!address || !('port' in address)) throw new Error('the server listens on no port')
  return { world, backend, url: `http://127.0.0.1:${address.port}` }
}

async function passTime(world: World, isEnded: () => boolean): Promise<void> {
  let last = performance.now()
  while (!isEnded()) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
    const now = performance.now()
    await world.clock.advance(now - last)
    last = now
  }
}

/** What such a cluster is shown with: named as in a small company's server room. */
export const SHOWN_GUESTS = [
  { name: 'web-1', memoryGib: 4, cpus: 4, diskGib: 40, tags: ['shop', 'production'] },
  { name: 'web-2', memoryGib: 4, cpus: 4, diskGib: 40, tags: ['shop', 'production'] },
  { name: 'orders-db', memoryGib: 16, cpus: 8, diskGib: 200, tags: ['shop', 'production', 'database'] },
  { name: 'mail', memoryGib: 8, cpus: 4, diskGib: 120, tags: ['office'] },
  { name: 'files', memoryGib: 6, cpus: 2, diskGib: 500, tags: ['office'] },
  { name: 'git', memoryGib: 4, cpus: 4, diskGib: 80, tags: ['development'] },
  { name: 'ci-runner-1', memoryGib: 8, cpus: 8, diskGib: 60, tags: ['development'] },
  { name: 'ci-runner-2', memoryGib: 8, cpus: 8, diskGib: 60, tags: ['development'], stopped: true },
  { name: 'monitoring', memoryGib: 4, cpus: 2, diskGib: 100, tags: ['operations'] },
  { name: 'ldap', memoryGib: 2, cpus: 1, diskGib: 20, tags: ['office', 'operations'] },
  { name: 'legacy-erp', memoryGib: 12, cpus: 4, diskGib: 160, tags: ['office'], replicas: 1 as const },
  { name: 'scratch', memoryGib: 2, cpus: 1, diskGib: 20, tags: ['development'], replicas: 1 as const, stopped: true },
] as const

export async function addShownGuests({ backend, world }: SimulatedCluster): Promise<void> {
  for (const guest of SHOWN_GUESTS) {
    await backend.must('guest.create', {
      body: {
        name: guest.name,
        memoryBytes: guest.memoryGib * GIB,
        cpus: guest.cpus,
        disks: [{ sizeBytes: guest.diskGib * GIB, ...('replicas' in guest ? { replicas: guest.replicas } : {}) }],
        boot: { kind: 'disk' },
        start: !('stopped' in guest),
      },
    })
    await backend.must('guest.set', { params: { guest: guest.name }, body: { tags: [...guest.tags] } })
  }
  const started = SHOWN_GUESTS.filter((guest) => !('stopped' in guest)).length
  await until(() => [...world.hosts].flatMap((host) => [...host.processes]).length >= started)
}

export interface ShownUsers {
  /** An administrator with a password of her own. */
  readonly alice: { readonly user: string; readonly password: string }
  /** One who has a one-time password, and of whom a group demands a second factor. */
  readonly bob: { readonly user: string; readonly password: string }
}

export async function addShownUsers({ backend, url }: SimulatedCluster, password: string): Promise<ShownUsers> {
  const oneTime = async (name: string) => {
    await backend.must('user.create', { body: { name } })
    const subject = { kind: 'user', name }
    await backend.must('permission.grant', { body: { subject, role: 'Administrator', path: '/' } })
    return (await backend.must('user.reset-password', { params: { user: name } })).password
  }
  const clientOf = (token: string | null) =>
    createClient({ targets: [{ url }], transport: fetchTransport(), ...(token === null ? {} : { token }) })
  const first = await oneTime('alice')
  const signedIn = await clientOf(null).call(ENDPOINTS['auth.sign-in'], { body: { user: 'alice', password: first } })
  if (!signedIn.ok) throw new Error(signedIn.error.message)
  const changed = await clientOf(signedIn.value.token).call(ENDPOINTS['auth.password'], { body: { next: password } })
  if (!changed.ok) throw new Error(changed.error.message)
  await clientOf(changed.value.token).call(ENDPOINTS['auth.sign-out'])
  const bob = { user: 'bob', password: await oneTime('bob') }
  await backend.must('group.create', { body: { name: 'careful', members: ['bob'], demandsSecondFactor: true } })
  return { alice: { user: 'alice', password }, bob }
}

/** What an app shows now that has this secret. */
export function codeOf(secret: string): string {
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate()
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('the simulated cluster did not come so far')
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
}
