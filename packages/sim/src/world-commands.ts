/** Does to a world what a command says. */
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { PROBE_DEFAULTS, type ReadinessProbe } from '@stead/core/model/probe.ts'
import type { CommandVerb, FaultCommand } from './fault-commands.ts'
import {
  askForMove,
  cancelMove,
  cancelReplicaMove,
  deleteRule,
  moveReplica,
  put,
  resizeDisk,
  setHaMode,
  setPolicy,
  setRule,
  shutDown,
  start,
  stop,
} from './user-requests.ts'
import { guestId } from './world-records.ts'
import type { WorldHost } from './world-host.ts'
import type { World } from './world.ts'

const PROBE: ReadinessProbe = {
  ...PROBE_DEFAULTS,
  check: { kind: 'tcp', port: 80 },
  periodMs: 1_000,
  onFailure: 'restart',
}

/** A user's request returns why it was refused, if it was. */
type Act = (world: World, args: readonly string[]) => unknown

/** For commands about one host. */
const onHost =
  (act: (host: WorldHost, world: World, more: readonly string[]) => void): Act =>
  (world, [id = '', ...more]) =>
    act(world.host(id as HostId), world, more)

const roles = (words: readonly string[]): readonly NetworkRole[] =>
  words.length === 0 ? NETWORK_ROLES : (words as readonly NetworkRole[])

const ACTS: Readonly<Record<CommandVerb, Act>> = {
  'power-off': onHost((host) => host.powerOff()),
  'power-on': onHost((host) => host.powerOn()),
  freeze: onHost((host) => host.freeze()),
  thaw: onHost((host) => host.thaw()),

  cut: onHost(({ id }, { network }, more) => network.cut(id, roles(more))),
  'cut-out': onHost(({ id }, { network }, more) => network.cut(id, roles(more), 'out')),
  'cut-in': onHost(({ id }, { network }, more) => network.cut(id, roles(more), 'in')),
  'cut-between': ({ network }, [one, other, ...more]) =>
    network.cutBetween(one as HostId, other as HostId, roles(more)),
  'cut-one-way': ({ network }, [from, to, ...more]) => network.cutOneWay(from as HostId, to as HostId, roles(more)),
  'cut-network': ({ network, hostIds }, [role]) => {
    for (const id of hostIds) network.cut(id, [role as NetworkRole])
  },
  impair: onHost(({ id }, { network }, [role, delayMs, loss, duplicated]) =>
    network.impair(id, role as NetworkRole, {
      delayMs: Number(delayMs),
      loss: Number(loss),
      duplicated: Number(duplicated),
    }),
  ),
  mend: onHost(({ id }, { network }) => network.mend(id)),

  'kill-agent': onHost((host) => host.killAgent()),
  'pause-agent': onHost((host) => host.setAgentPaused(true)),
  'resume-agent': onHost((host) => host.setAgentPaused(false)),
  'kill-guardian': onHost((host) => host.killGuardian()),
  'pause-guardian': onHost((host) => host.setGuardianPaused(true)),
  'resume-guardian': onHost((host) => host.setGuardianPaused(false)),
  'kill-deadman': onHost((host) => host.guardian.killDeadman()),
  'kill-guests': onHost((host) => host.killGuests('it crashed')),
  'kill-guest': (world, [name = '']) => world.hostOf(guestId(name))?.machine.crash(guestId(name)),

  'kill-member': onHost((host) => host.killMember()),
  'lose-answer': ({ etcd }) => etcd.loseNextAnswer(),
  'compact-store': ({ etcd }) => etcd.server.compact(),
  'delay-watch': onHost((host, _, [ms]) => host.delayWatch(Number(ms))),

  'kill-daemon': onHost((host) => host.killDaemon()),
  'pause-daemon': onHost((host) => host.pauseDaemon(true)),
  'resume-daemon': onHost((host) => host.pauseDaemon(false)),
  'disk-fails': onHost(({ id }, { storage }) => storage.setDisk(id, 'fails')),
  'disk-hangs': onHost(({ id }, { storage }) => storage.setDisk(id, 'hangs')),
  'disk-full': onHost(({ id }, { storage }) => storage.setDisk(id, 'full')),
  'mend-disk': onHost(({ id }, { storage }) => storage.setDisk(id, 'ok')),

  drift: onHost((host, _, [ppm]) => host.clock.setDrift(Number(ppm))),
  'set-wall': onHost((host, _, [ms]) => host.clock.jumpWall(Number(ms))),

  create: (world, [name = '', ...hosts]) => {
    if (!world.guest(name)) world.addGuest(name, hosts as readonly string[] as readonly HostId[])
  },
  start: (world, [name = '']) => start(world, name),
  stop: (world, [name = '', ms]) => stop(world, name, ms === undefined ? undefined : Number(ms)),
  'force-stop': (world, [name = '']) =>
    whileWanted(world, name, { desired: 'stopped', ha: 'stopped', forceStop: true }),
  delete: (world, [name = '']) => whileWanted(world, name, { desired: 'stopped', forceStop: true, deleting: true }),
  drain: onHost(({ id }, world) => setMaintenance(world, id, true)),
  undrain: onHost(({ id }, world) => setMaintenance(world, id, false)),

  move: (world, [name = '', to]) => askForMove(world, name, to as HostId),
  'move-live': (world, [name = '', to]) => askForMove(world, name, to as HostId, 'live'),
  'move-post-copy': (world, [name = '', to]) => askForMove(world, name, to as HostId, 'post-copy'),
  'cancel-move': (world, [name = '']) => cancelMove(world, name),
  'move-replica': (world, [name = '', from, to]) => moveReplica(world, name, from as HostId, to as HostId),
  'add-replica': (world, [name = '', to]) => moveReplica(world, name, undefined, to as HostId),
  'remove-replica': (world, [name = '', from]) => moveReplica(world, name, from as HostId, undefined),
  'cancel-replica-move': (world, [name = '']) => cancelReplicaMove(world, name),
  resize: (world, [name = '', blocks]) => resizeDisk(world, name, Number(blocks)),
  ha: (world, [name = '', mode = '']) => setHaMode(world, name, mode),
  'set-rule': (world, words) => setRule(world, words),
  'delete-rule': (world, [id = '']) => deleteRule(world, id),
  policy: (world, [setting = '', value = '']) => setPolicy(world, setting, value),
  shutdown: onHost(({ id }, world, [how = '']) => shutDown(world, id, how)),

  'start-fails': ({ guestFaults }, [name = '', where = '', times = 'Infinity']) =>
    guestFaults.fail('start', guestId(name), where, Number(times)),
  'dump-fails': ({ guestFaults }, [name = '', times = '1']) =>
    guestFaults.fail('dump', guestId(name), 'any', Number(times)),
  'restore-fails': ({ guestFaults }, [name = '', times = '1']) =>
    guestFaults.fail('restore', guestId(name), 'any', Number(times)),
  deaf: ({ guestFaults }, [name = '']) => guestFaults.makeDeaf(guestId(name)),

  probe: (world, [name = '']) => whileWanted(world, name, { lifecycle: { probe: PROBE } }),
  unready: ({ guestFaults }, [name = '']) => guestFaults.setUnready(guestId(name), true),
  'ready-again': ({ guestFaults }, [name = '']) => guestFaults.setUnready(guestId(name), false),

  heal: (world) => {
    for (const { id } of world.guests()) world.guestFaults.setUnready(id, false)
    for (const host of world.hosts) {
      world.network.mend(host.id)
      world.storage.setDisk(host.id, 'ok')
      host.setAgentPaused(false)
      host.setGuardianPaused(false)
      if (world.storage.daemon(host.id) === 'paused') host.pauseDaemon(false)
      host.thaw()
      host.powerOn()
      if (world.policy(host.id)?.maintenance) setMaintenance(world, host.id, false)
    }
  },
}

export function perform(world: World, { verb, args }: Pick<FaultCommand, 'verb' | 'args'>): void {
  const refusal = ACTS[verb](world, args)
  if (typeof refusal === 'string') world.refusals.push(refusal)
}

/** A guest that is being deleted takes no other wishes. */
function whileWanted(world: World, name: string, change: Parameters<World['changeGuest']>[1]): void {
  if (world.guest(name) && !world.guest(name)?.deleting) world.changeGuest(name, change)
}

function setMaintenance(world: World, id: HostId, maintenance: boolean): void {
  put(world, KEYS.policy(id), { ...world.policy(id), maintenance })
}
