/** One `GuestHost`, one `GuestAgent` and one `GuestMigration` over those of virtual machines and of containers. */
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestAgent } from '@stead/core/ports/guest-agent.ts'
import type { GuestMigration } from '@stead/core/ports/guest-migration.ts'
import type { GuestHost } from '@stead/core/ports/guest-host.ts'

export interface GuestKindHost {
  readonly host: GuestHost
  readonly agent: GuestAgent
  readonly migration: GuestMigration
}

/** `isContainer`: of a guest that is, or was, on this host. */
export function guestsByKind(
  vms: GuestKindHost,
  containers: GuestKindHost,
  isContainer: (guest: GuestId) => boolean,
): GuestKindHost {
  const of = (guest: GuestId) => (isContainer(guest) ? containers : vms)
  const host: GuestHost = {
    ...routed<GuestHost>((guest) => of(guest).host, GUEST_CALLS),
    expect: (start) => (start.kind === 'ct' ? containers : vms).host.expect(start),
    start: (launch) => (launch.boot.kind === 'container' ? containers : vms).host.start(launch),
    adopt: async () => [...(await vms.host.adopt()), ...(await containers.host.adopt())],
    subscribe: (listener) => {
      const offs = [vms.host.subscribe(listener), containers.host.subscribe(listener)]
      return () => offs.forEach((off) => off())
    },
  }
  const migration: GuestMigration = {
    ...routed<GuestMigration>((guest) => of(guest).migration, MIGRATION_CALLS),
    receive: (launch, at) => (launch.boot.kind === 'container' ? containers : vms).migration.receive(launch, at),
  }
  return { host, agent: routed<GuestAgent>((guest) => of(guest).agent, AGENT_CALLS), migration }
}

type CallOn = (guest: GuestId, ...more: never[]) => unknown
type GuestCalls<Port> = { [Name in keyof Port]: Port[Name] extends CallOn ? Name : never }[keyof Port]

/** Every call whose first word is the guest. The compiler checks that none is missing. */
const GUEST_CALLS: Readonly<Record<GuestCalls<Omit<GuestHost, 'expect' | 'start' | 'subscribe' | 'adopt'>>, true>> = {
  requestShutdown: true,
  quit: true,
  kill: true,
  inspect: true,
  pause: true,
  resume: true,
  yankLeg: true,
  dropLeg: true,
  prepareLeg: true,
  attachLeg: true,
  replaceLeg: true,
  discardLeg: true,
  drainAndFlush: true,
  changeMedium: true,
  consoleLogPath: true,
  hardware: true,
  addDisk: true,
  removeDisk: true,
  holdDisk: true,
  growDisk: true,
  growFileSystem: true,
  limitDisk: true,
  addNic: true,
  removeNic: true,
  setAddresses: true,
  setCpus: true,
  setMemory: true,
  setBalloon: true,
  setContainer: true,
  memoryUse: true,
}
const AGENT_CALLS: Readonly<Record<GuestCalls<GuestAgent>, true>> = {
  ping: true,
  system: true,
  interfaces: true,
  freeze: true,
  thaw: true,
  freezeStatus: true,
  shutdown: true,
  execute: true,
}
const MIGRATION_CALLS: Readonly<Record<GuestCalls<Omit<GuestMigration, 'receive'>>, true>> = {
  awaitArrival: true,
  launchOf: true,
  send: true,
  awaitStandstill: true,
  progress: true,
  startPostCopy: true,
  relinquishDisks: true,
  complete: true,
  awaitSent: true,
  receiveRest: true,
  resume: true,
  awaitMemory: true,
  cancel: true,
}

function routed<Port>(of: (guest: GuestId) => Port, names: Readonly<Record<string, true>>): Port {
  const calls = Object.keys(names).map((name) => [
    name,
    (guest: GuestId, ...more: unknown[]) => {
      const port = of(guest) as Record<string, (guest: GuestId, ...more: unknown[]) => unknown>
      return port[name]!(guest, ...more)
    },
  ])
  return Object.fromEntries(calls) as Port
}
