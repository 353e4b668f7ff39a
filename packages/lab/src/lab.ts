/** A whole lab: up, down, status. Who changes a lab holds its lock (`withLabLock`). */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { failure } from '@stead/core/errors.ts'
import type { HostRole, NetworkRole } from '@stead/core/model/host.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { agentConfig } from './agent-config.ts'
import { agentAnswers, clusterIsWhole } from './agent-health.ts'
import { cutCables, cutPairs } from './cables.ts'
import { agentSocket, contextFile, removeContext, writeContext } from './context-file.ts'
import { cgroupFolder, cgroupRoot, createCgroup, killGroup, processesOf, removeCgroup } from './control-group.ts'
import { controllers, freezerOf } from './controllers.ts'
import { readForwarder, startForwarder } from './forwarder.ts'
import { hostPower, powerOn } from './lab-host.ts'
import type { HostBoot, Power } from './lab-host.ts'
import { readNotes, writeNotes } from './lab-notes.ts'
import type { LabNotes } from './lab-notes.ts'
import { leftovers, loopDevicesUnder, mountsUnder } from './leftovers.ts'
import { createSwitches, destroyAllNamespaces, namespacesOf } from './namespaces.ts'
import { withBtrfsPool } from './btrfs-pool.ts'
import { runCommand } from './run-command.ts'
import { FORWARDER_PORT_FIRST, hostFolder, planHosts } from './topology.ts'
import type { LabHostSpec, LabPlaces } from './topology.ts'
import { writeWhole } from './write-whole.ts'

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url))
const AGENTS_MS_MAX = 60_000
const AGAIN_MS = 300

export interface LabUpOptions {
  /** Hosts that run guests, 1 to 32. */
  readonly hosts: number
  readonly witness: boolean
  /** The hosts are of no cluster yet: they wait for `stead init` and `stead join`. */
  readonly empty?: boolean
  readonly fastPool: boolean
  readonly btrfsPool: boolean
}

export interface LabHostReport {
  readonly host: string
  readonly role: HostRole
  readonly power: Power
  readonly agent: 'answers' | 'silent'
  readonly addresses: Readonly<Record<NetworkRole, string>>
  readonly cables: Readonly<Record<NetworkRole, 'plugged' | 'cut'>>
  readonly folder: string
}

export interface LabReport {
  readonly lab: string
  /** The API of any living host, from this machine. */
  readonly url: string | null
  readonly context: string
  readonly hosts: readonly LabHostReport[]
  /** Pairs of hosts that cannot hear each other. */
  readonly cutBetween: readonly (readonly [string, string])[]
}

/** What every command on an existing lab needs. */
export interface Lab {
  readonly boot: HostBoot
  readonly notes: LabNotes
}

export function findLab(env: NodeJS.ProcessEnv, places: LabPlaces): Result<Lab> {
  const notes = readNotes(places)
  if (notes === undefined) {
    return fail(failure('not_found', `there is no lab '${places.lab}'`, { hint: 'Start one: stead lab up' }))
  }
  const boot = hostBoot(env, places)
  return boot.ok ? ok({ boot: boot.value, notes }) : boot
}

export function findHost(lab: Lab, id: string): Result<LabHostSpec> {
  const host = lab.notes.hosts.find((candidate) => candidate.id === id)
  if (host !== undefined) return ok(host)
  const hint = `Its hosts: ${lab.notes.hosts.map((candidate) => candidate.id).join(', ')}`
  return fail(failure('not_found', `lab '${lab.boot.places.lab}' has no host '${id}'`, { hint }))
}

/**
 * Starts a lab; `waitForAgents` tells when it can be used. One that was interrupted while starting is cleared away first; one whose hosts are all gone because
 * the machine was restarted gets its networks back and its hosts powered on, data and all.
 */
export async function labUp(env: NodeJS.ProcessEnv, places: LabPlaces, options: LabUpOptions): Promise<Result<Lab>> {
  const planned = planHosts(options.hosts, options.witness, options)
  if (!planned.ok) return planned
  const boot = hostBoot(env, places)
  if (!boot.ok) return boot
  const earlier = readNotes(places)
  const running = earlier !== undefined && processesOf(cgroupFolder(boot.value.cgroupRoot, places.lab)).length > 0
  if (earlier?.phase === 'up' && (running || namespacesOf(places.lab).length > 0)) {
    const hint = 'Use it (stead lab status), or end it first: stead lab down'
    return fail(failure('conflict', `lab '${places.lab}' is up already`, { hint }))
  }
  if (earlier?.phase !== 'up') {
    const cleared = await labDown(env, places)
    if (!cleared.ok) return cleared
  }
  const tun = await ensureTun()
  if (!tun.ok) return tun
  const notes = earlier?.phase === 'up' ? earlier : newNotes(planned.value, options.empty === true)
  mkdirSync(places.folder, { recursive: true, mode: 0o755 })
  writeNotes(places, { ...notes, phase: 'starting' })
  const started = await startAll(boot.value, notes)
  if (!started.ok) {
    // A new lab that cannot start leaves nothing; one that has data keeps it.
    if (earlier?.phase !== 'up') await labDown(env, places)
    return started
  }
  writeNotes(places, { ...notes, phase: 'up' })
  writeContext(env, places, notes.hosts, notes.apiToken)
  return ok({ boot: boot.value, notes })
}

/** Removes everything of the lab, whatever condition it is in. Nothing to remove is success. */
export async function labDown(env: NodeJS.ProcessEnv, places: LabPlaces): Promise<Result<void>> {
  const root = cgroupRoot()
  if (!root.ok) return root
  removeContext(env, places)
  const group = cgroupFolder(root.value, places.lab)
  // A crashed `lab up` may have started an init that joins the group a moment later: look again until nothing is left.
  for (let attempt = 0; attempt < 10; attempt++) {
    const groups = controllers(places.lab)
    const killed = await killGroup(group, freezerOf(groups))
    if (!killed.ok) return killed
    const destroyed = await destroyAllNamespaces(places.lab)
    if (!destroyed.ok) return destroyed
    const loops = await loopDevicesUnder(places.folder)
    if (!loops.ok) return loops
    for (const device of loops.value) await runCommand('losetup', ['--detach', device])
    for (const place of mountsUnder(places.folder)) await runCommand('umount', ['--lazy', place])
    for (const folder of [...groups.map((each) => each.folder), group]) {
      const removed = existsSync(folder) ? await removeCgroup(folder) : ok()
      if (!removed.ok) return removed
    }
    // Never follow the removal into something that is still mounted there.
    if (mountsUnder(places.folder).length === 0) rmSync(places.folder, { recursive: true, force: true, maxRetries: 3 })
    if ((await leftovers(places.lab, env)).length === 0) return ok()
    // The kernel unmounts what hundreds of ended containers had, one after the other.
    await delay(AGAIN_MS)
  }
  const left = (await leftovers(places.lab, env)).join(', ')
  return fail(failure('conflict', `some of lab '${places.lab}' could not be removed: ${left}`))
}

export async function labReport(env: NodeJS.ProcessEnv, lab: Lab): Promise<LabReport> {
  const { places } = lab.boot
  const cut = cutCables(places)
  const hosts = await Promise.all(
    lab.notes.hosts.map(async (host): Promise<LabHostReport> => {
      const power = hostPower(lab.boot, host.id)
      const answers = power === 'on' && (await agentAnswers(agentSocket(places, host.id)))
      const cable = (role: NetworkRole) => (cut[host.id]?.includes(role) === true ? 'cut' : 'plugged')
      return {
        host: host.id,
        role: host.role,
        power,
        agent: answers ? 'answers' : 'silent',
        addresses: host.addresses,
        cables: { lan: cable('lan'), san: cable('san'), ran: cable('ran') },
        folder: hostFolder(places, host.id),
      }
    }),
  )
  const forwarder = readForwarder(places)
  return {
    lab: places.lab,
    url: forwarder === undefined ? null : `http://127.0.0.1:${forwarder.port}`,
    context: contextFile(env),
    hosts,
    cutBetween: await cutPairs(places.lab),
  }
}

/** Returns when the agents of these hosts answer, or fails with the name of the one that does not. */
export async function waitForAgents(lab: Lab, hosts: readonly LabHostSpec[]): Promise<Result<void>> {
  const end = performance.now() + AGENTS_MS_MAX
  for (const host of hosts) {
    while (!(await agentAnswers(agentSocket(lab.boot.places, host.id)))) {
      if (performance.now() > end) {
        const hint = `Its log: ${join(hostFolder(lab.boot.places, host.id), 'init.log')}`
        return fail(failure('timeout', `the agent of ${host.id} does not answer`, { hint }))
      }
      await delay(50)
    }
  }
  // A first command that met a cluster still finding itself would be refused for a reason that is gone a moment later.
  const first = hosts[0]
  while (
    first &&
    performance.now() < end &&
    !(await clusterIsWhole(agentSocket(lab.boot.places, first.id), hosts.length))
  )
    await delay(100)
  return ok()
}

async function startAll(boot: HostBoot, notes: LabNotes): Promise<Result<void>> {
  const { places } = boot
  const group = createCgroup(cgroupFolder(boot.cgroupRoot, places.lab))
  if (!group.ok) return group
  if (!notes.empty) await configureAll(boot, notes)
  const switched = await createSwitches(places.lab)
  if (!switched.ok) return switched
  const booted = await Promise.all(notes.hosts.map((host) => powerOn(boot, host)))
  const failed = booted.find((result) => !result.ok)
  if (failed !== undefined) return failed
  const sockets = notes.hosts.map((host) => agentSocket(places, host.id))
  const cgroup = cgroupFolder(boot.cgroupRoot, places.lab, 'forwarder')
  const forwarded = await startForwarder(places, cgroup, sockets, FORWARDER_PORT_FIRST)
  return forwarded.ok ? ok() : forwarded
}

async function configureAll({ places, nativeDir }: HostBoot, notes: LabNotes): Promise<void> {
  for (const host of notes.hosts) {
    const config = agentConfig(places, notes.hosts, host, notes, { nativeDir, criu: process.env['STEAD_LAB_CRIU'] })
    writeWhole(join(hostFolder(places, host.id), 'agent.json'), `${JSON.stringify(config, null, 2)}\n`)
  }
  // Loaded here: it brings a library that no other command needs.
  const { trustEachOther } = await import('@stead/agent/trust/host-trust.ts')
  const trusted = notes.hosts.map((host) => ({ ...host, stateDir: hostFolder(places, host.id) }))
  await trustEachOther(places.lab, trusted, Date.now())
}

function newNotes(hosts: readonly LabHostSpec[], empty: boolean): LabNotes {
  const secret = () => randomBytes(32).toString('hex')
  return { phase: 'starting', hosts, ...(empty ? { empty } : {}), clusterKey: secret(), apiToken: secret() }
}

function hostBoot(env: NodeJS.ProcessEnv, places: LabPlaces): Result<HostBoot> {
  if (process.getuid?.() !== 0) {
    return fail(failure('forbidden', 'the lab makes namespaces and so needs root', { hint: 'Run it with sudo.' }))
  }
  const root = cgroupRoot()
  if (!root.ok) return root
  const nativeDir = join(REPOSITORY, '.native', 'bin')
  if (!existsSync(join(nativeDir, 'lab-init'))) {
    return fail(failure('conflict', 'the lab has not been built yet', { hint: 'Run: ./dev setup' }))
  }
  // For tests of the lab itself: what runs in place of the agent.
  const override = env['STEAD_LAB_COMMAND']
  const program = override === undefined ? [join(REPOSITORY, 'bin', 'stead-agent')] : override.split(' ')
  const command = (host: LabHostSpec) => {
    const state = hostFolder(places, host.id)
    const agent = [...program, join(state, 'agent.json')]
    return host.btrfsPool ? withBtrfsPool(state, agent) : agent
  }
  return ok({ places, cgroupRoot: root.value, nativeDir, command, compileCache: join(REPOSITORY, '.cache', 'node') })
}

/** Guests' network cards need the tun driver, which a freshly booted Debian has not loaded. */
async function ensureTun(): Promise<Result<void>> {
  if (existsSync('/dev/net/tun')) return ok()
  const loaded = await runCommand('modprobe', ['tun'])
  if (loaded.ok && existsSync('/dev/net/tun')) return ok()
  mkdirSync('/dev/net', { recursive: true })
  const made = await runCommand('mknod', ['-m', '666', '/dev/net/tun', 'c', '10', '200'])
  return made.ok ? ok() : made
}
