/**
 * What users ask of a cluster, written as an API writes it, and refused where an API refuses it. Each returns why it
 * was refused, or nothing.
 */
import { objectionToLiveMoveOf, objectionToMove } from '@stead/core/ha/move-request.ts'
import { plannedMove, withoutMove } from '@stead/core/ha/storage-move.ts'
import { removalWrite } from '@stead/core/host/storage-mover.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { DEFAULT_POLICY, type ClusterPolicy } from '@stead/core/model/cluster-policy.ts'
import type { Guest, HaMode } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isActive, isWhole } from '@stead/core/model/records.ts'
import type { Rule, RuleId } from '@stead/core/model/rule.ts'
import { contradictionsIn } from '@stead/core/planning/contradictions.ts'
import { guestId } from './world-records.ts'
import { WORLD_BLOCK_BYTES } from './world-storage.ts'
import type { World } from './world.ts'

type Refusal = string | undefined

const HA_MODES: readonly HaMode[] = ['started', 'stopped', 'ignored']
const RULE_KINDS: readonly Rule['kind'][] = ['together', 'apart', 'hosts', 'ban', 'order']

export function start(world: World, name: string): Refusal {
  const guest = world.guest(name)
  if (!guest || guest.deleting) return `${name} does not exist, or is being deleted`
  world.changeGuest(name, { desired: 'running', forceStop: false, ...(isIgnored(guest) ? {} : { ha: 'started' }) })
  forgetFailures(world, guest)
  return undefined
}

/** `patienceMs`: how long its own shutdown may take. */
export function stop(world: World, name: string, patienceMs?: number): Refusal {
  const guest = world.guest(name)
  if (!guest || guest.deleting) return `${name} does not exist, or is being deleted`
  world.changeGuest(name, {
    desired: 'stopped',
    ...(isIgnored(guest) ? {} : { ha: 'stopped' }),
    ...(patienceMs === undefined ? {} : { shutdownTimeoutMs: patienceMs }),
  })
  return undefined
}

export function setHaMode(world: World, name: string, mode: string): Refusal {
  const guest = world.guest(name)
  if (!guest || guest.deleting) return `${name} does not exist, or is being deleted`
  const ha = HA_MODES.find((one) => one === mode)
  if (!ha) return `HA keeps a guest ${HA_MODES.join(', ')}, not ${mode}`
  if (ha === 'ignored') world.changeGuest(name, { ha })
  else world.changeGuest(name, { ha, desired: ha === 'started' ? 'running' : 'stopped', forceStop: false })
  if (ha === 'started') forgetFailures(world, guest)
  return undefined
}

/** A guest that runs is asked to move; one that does not starts there next. */
export function askForMove(world: World, name: string, to: HostId, moveHow?: 'live' | 'post-copy'): Refusal {
  const guest = world.guest(name)
  if (!guest) return `there is no guest ${name}`
  const state = beliefOf(world)
  if (!state) return 'no agent answers'
  const isUp = (host: HostId) => state.statuses.get(host)?.value.state === 'online'
  // A container's is refused where it cannot be; a machine's may be asked for whatever its state, as by a drain.
  const ask = moveHow !== undefined && guest.kind === 'ct' ? objectionToLiveMoveOf : objectionToMove
  const objection = ask(state, guest, to, isUp)
  if (objection !== undefined) return objection.message
  const runs = guest.desired === 'running' || isActive(world.grant(name))
  world.changeGuest(name, { preferredHost: to, ...(runs ? { moveTo: to } : {}), ...(moveHow ? { moveHow } : {}) })
  return undefined
}

export function cancelMove(world: World, name: string): Refusal {
  const handover = world.grant(name)?.handover
  if (!handover) return `${name} is not on its way to another host`
  world.changeGuest(name, { cancelledHandover: handover.epoch })
  return undefined
}

/** With the records that an API compares as they truly are. */
export function moveReplica(world: World, name: string, from: HostId | undefined, to: HostId | undefined): Refusal {
  const guest = world.guest(name)
  if (!guest || guest.deleting) return `${name} does not exist, or is being deleted`
  const state = beliefOf(world)
  if (!state) return 'no agent answers'
  const volume = world.volume(name)
  if (world.removals(volume.id).some(({ host }) => host === to)) return `${to} still removes an earlier replica`
  const request = { ...(from ? { from: { host: from } } : {}), ...(to ? { to: { host: to } } : {}) }
  const isUp = (host: HostId) => state.statuses.get(host)?.value.state === 'online'
  const planned = plannedMove(state, volume, request, isUp, world.clock.wallMs())
  if (!planned.ok) return planned.error.message
  put(world, KEYS.volume(volume.id), planned.value)
  return undefined
}

export function cancelReplicaMove(world: World, name: string): Refusal {
  if (!world.guest(name)) return `there is no guest ${name}`
  const undone = withoutMove(world.volume(name))
  if (!undone.ok) return undone.error.message
  const { volume, removal } = undone.value
  world.write({ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(volume) }, ...removalWrite(removal))
  return undefined
}

/** By so many blocks of the model. */
export function resizeDisk(world: World, name: string, blocks: number): Refusal {
  const guest = world.guest(name)
  if (!guest || guest.deleting) return `${name} does not exist, or is being deleted`
  const state = beliefOf(world)
  if (!state) return 'no agent answers'
  const volume = world.volume(name)
  if (!volume.ready || volume.growTo !== undefined) return `the disk of ${name} is being made or enlarged`
  if (volume.move || !isWhole(volume)) return `the disk of ${name} is not whole`
  const away = volume.replicas.filter(({ host }) => state.statuses.get(host)?.value.state !== 'online')
  if (away.length > 0) return `${away.map(({ host }) => host).join(', ')} must be online`
  put(world, KEYS.volume(volume.id), { ...volume, growTo: volume.sizeBytes + blocks * WORLD_BLOCK_BYTES })
  return undefined
}

/** `web-apart apart strict g1 g2`; without `strict` it is a wish. Hosts are one word: `h1:2,h2`. */
export function setRule(world: World, [id = '', kind = '', ...words]: readonly string[]): Refusal {
  const strict = words[0] === 'strict'
  const more = strict ? words.slice(1) : words
  const rule = ruleOf({ id: id as RuleId, kind, strict, words: more })
  if (!rule) return `a rule is one of ${RULE_KINDS.join(', ')}, not ${kind}`
  const state = beliefOf(world)
  if (!state) return 'no agent answers'
  const others = [...state.rules.values()].map(({ value }) => value).filter((other) => other.id !== id)
  const guests = [...state.guests.values()].map(({ value }) => value)
  const hosts = [...state.hosts.values()]
    .filter(({ value }) => value.role === 'compute')
    .map(({ value }) => ({ id: value.id, faultDomains: world.policy(value.id)?.faultDomains ?? {} }))
  const [contradiction] = contradictionsIn([...others, rule], guests, hosts)
  if (contradiction) return contradiction.proof
  put(world, KEYS.rule(rule.id), rule)
  return undefined
}

export function deleteRule(world: World, id: string): Refusal {
  world.write({ kind: 'delete', key: KEYS.rule(id as RuleId) })
  return undefined
}

/** `shutdown freeze`, `armed false`, `balancing.mode automatic`. */
export function setPolicy(world: World, setting: string, word: string): Refusal {
  const known = world.record<ClusterPolicy>(KEYS.clusterPolicy) ?? DEFAULT_POLICY
  const value: unknown =
    word === 'true' || word === 'false' ? word === 'true' : Number.isNaN(Number(word)) ? word : Number(word)
  const [group = '', member] = setting.split('.')
  const old: unknown = known[group as keyof ClusterPolicy]
  if (old === undefined) return `there is no setting ${group}`
  const next = member === undefined ? value : { ...(old as object), [member]: value }
  put(world, KEYS.clusterPolicy, { ...known, [group]: next })
  return undefined
}

export function shutDown(world: World, id: HostId, how: string): Refusal {
  if (how !== 'power-off' && how !== 'reboot') return `a shutdown is a power-off or a reboot, not ${how}`
  put(world, KEYS.policy(id), { maintenance: false, ...world.policy(id), shutdown: how })
  return undefined
}

export function put(world: World, key: string, value: unknown): void {
  world.write({ kind: 'put', key, value: JSON.stringify(value) })
}

function ruleOf({
  id,
  kind,
  strict,
  words,
}: {
  id: RuleId
  kind: string
  strict: boolean
  words: readonly string[]
}): Rule | undefined {
  const guests = (names: readonly string[]): readonly GuestId[] => names.map(guestId)
  const [hosts = '', ...ofHosts] = words
  switch (kind) {
    case 'together':
      return { id, kind, strict, guests: guests(words) }
    case 'apart':
      return { id, kind, strict, across: 'host', guests: guests(words) }
    case 'hosts': {
      const ranked = hosts.split(',').map((word) => {
        const [host, priority = '0'] = word.split(':')
        return { host: host as HostId, priority: Number(priority) }
      })
      return { id, kind, strict, hosts: ranked, guests: guests(ofHosts) }
    }
    case 'ban':
      return { id, kind, hosts: hosts.split(',') as readonly string[] as readonly HostId[], guests: guests(ofHosts) }
    case 'order':
      return { id, kind, mode: strict ? 'required' : 'optional', readyAfterMs: 0, guests: guests(words) }
    default:
      return undefined
  }
}

/** The records as the agent sees them that answers the user: any that runs, the coordinator's first. */
function beliefOf(world: World): ClusterState | undefined {
  const coordinator = world.record<{ readonly host: HostId }>(KEYS.coordinator)?.host
  const hosts = [...world.hosts].toSorted((a, b) => Number(b.id === coordinator) - Number(a.id === coordinator))
  return hosts.find((host) => host.hasRunningAgent)?.belief
}

/** A user's start forgets earlier failures; what a running guest reports of itself is left alone. */
function forgetFailures(world: World, guest: Guest): void {
  if (!isActive(world.grant(guest.name))) world.write({ kind: 'delete', key: KEYS.observation(guest.id) })
}

function isIgnored(guest: Guest): boolean {
  return guest.ha === 'ignored'
}
