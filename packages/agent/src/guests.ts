/** The guests of this host, whatever their kind: what drives them, and what leads into them. */
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import { lowestPacketRate } from '@stead/core/model/container-limits.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { GuestAgent } from '@stead/core/ports/guest-agent.ts'
import type { GuestMigration } from '@stead/core/ports/guest-migration.ts'
import type { GuestHost } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { AgentConfig } from './config.ts'
import { GuestConsoles } from './console/guest-consoles.ts'
import { LxcGuestHost } from './container/lxc-guest-host.ts'
import { HostCounters } from './counters/host-counters.ts'
import { keepGuestFolders } from './guest-folders.ts'
import { guestsByKind } from './guests-by-kind.ts'
import type { LinuxNetworkHost } from './network/linux-network-host.ts'
import { giveUserfaultfd } from './qemu/userfaultfd.ts'
import { QemuGuestHost } from './qemu/qemu-guest-host.ts'

/** The bridge of the role that carries guests. */
const LAN_BRIDGE = 'lanbr0'

export interface HostGuests {
  readonly host: GuestHost
  readonly agent: GuestAgent
  readonly migration: GuestMigration
  readonly vms: QemuGuestHost
  readonly containers: LxcGuestHost
  readonly counters: HostCounters
  readonly consoles: GuestConsoles
  /** Removes what deleted ones have left, for as long as the agent lives. */
  keep(signal: AbortSignal): Promise<unknown>
}

export interface HostGuestsOptions {
  readonly config: AgentConfig
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly namespacePid: () => Promise<number | undefined>
  readonly mirror: ClusterMirror
  readonly events: EventWriter
  readonly network: Pick<LinuxNetworkHost, 'droppedPackets'>
  readonly clock: Clock
  readonly log: Log
}

export function hostGuests(options: HostGuestsOptions): HostGuests {
  const { config, helper, namespacePid, mirror, events, network, clock, log } = options
  const user = config.guestUser ? { user: config.guestUser } : {}
  const folders = { vm: join(config.stateDir, 'guests'), ct: join(config.stateDir, 'containers') }
  const vms = new QemuGuestHost({
    ...{ guestsFolder: folders.vm, helper, ...user, namespacePid, log },
    preparePostCopy: async () => config.guestUser && giveUserfaultfd(config.guestUser, log),
  })
  const containers = new LxcGuestHost({
    containersFolder: folders.ct,
    nativeDir: config.nativeDir,
    ...user,
    namespacePid,
    bridge: LAN_BRIDGE,
    ...(config.criu === undefined ? {} : { criu: config.criu }),
    log,
  })
  const counters = new HostCounters({
    containers,
    vms,
    nameOf: (guest) => mirror.state.guests.get(guest)?.value.name,
    packetLimitOf: (guest) => {
      const known = mirror.state.guests.get(guest)?.value
      return known && lowestPacketRate(known)
    },
    droppedPackets: () => network.droppedPackets(),
    tell: (...drafts) => events.tell(...drafts),
    clock,
    log,
  })
  const isKnown = (guest: string) => !mirror.loaded || mirror.state.guests.has(guest as GuestId)
  const isContainer = (guest: GuestId) => containers.has(guest)
  const ofBoth = guestsByKind(
    { host: vms, agent: vms.agent, migration: vms.migration },
    { host: containers, agent: containers.agent, migration: containers.migration },
    isContainer,
  )
  return {
    ...ofBoth,
    vms,
    containers,
    counters,
    consoles: new GuestConsoles({
      consoleOf: (guest) => (isContainer(guest) ? containers : vms).consoleOf(guest),
      containerOf: (guest) => containers.containerOf(guest),
      clock,
    }),
    keep: (signal) =>
      Promise.all([
        keepGuestFolders(
          { path: folders.vm, isKnown, forget: (guest) => vms.forget(guest as GuestId) },
          clock,
          log,
          signal,
        ),
        keepGuestFolders(
          { path: folders.ct, isKnown, forget: (guest) => containers.forget(guest as GuestId) },
          clock,
          log,
          signal,
        ),
      ]),
  }
}
