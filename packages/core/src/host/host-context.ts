/** What the parts of one host's agent share: who it is, and its ports. */
import type { CoordinatorInput } from '../ha/coordinator.ts'
import type { Plan } from '../ha/plan.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { NetworkRole } from '../model/host.ts'
import type { BlobId, GuestId, HostId } from '../model/ids.ts'
import type { Clock, Random } from '../ports/clock.ts'
import type { Fence } from '../ports/fence.ts'
import type { GuestAgent } from '../ports/guest-agent.ts'
import type { HostDevices } from '../ports/host-devices.ts'
import type { GuestHost } from '../ports/guest-host.ts'
import type { GuestMemory } from '../ports/guest-memory.ts'
import type { GuestMigration } from '../ports/guest-migration.ts'
import type { GuestProbe } from '../ports/guest-probe.ts'
import type { LegWatch } from '../ports/leg-watch.ts'
import type { Log } from '../ports/log.ts'
import type { NetworkHost } from '../ports/network-host.ts'
import type { OwnRootCopies, RootCopies } from '../ports/root-copies.ts'
import type { Store } from '../ports/store.ts'
import type { VolumeHost } from '../ports/volume-host.ts'
import type { Result } from '../result.ts'
import type { ArrivalHost } from './arrivals.ts'
import type { ClusterMirror } from './cluster-mirror.ts'
import type { EventWriter } from './event-writer.ts'

export interface HostContext {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly fence: Fence
  readonly guests: GuestHost
  readonly guestAgent: GuestAgent
  readonly hostDevices: HostDevices
  readonly migration: GuestMigration
  readonly memory: GuestMemory
  /** What each host does for guests that come to it live; this one's own too. */
  readonly arrivalsOn: (host: HostId) => ArrivalHost
  /**
   * The replicas of any host: the local implementation for this one, a remote one for the others. `via`: only by this
   * network and by a connection of its own, since one that is kept open may lead into a cut cable.
   */
  readonly volumesOn: (host: HostId, via?: NetworkRole) => VolumeHost
  /** What each host holds of native roots beside the roots; this one's own too. */
  readonly rootsOn: (host: HostId) => RootCopies
  readonly ownRoots: OwnRootCopies
  readonly network: NetworkHost
  readonly legWatch: LegWatch
  readonly probe: GuestProbe
  /** Path of a blob on this host, fetched from another host when it is missing here. */
  readonly blobPath: (blob: BlobId) => Promise<Result<string>>
  /** Absent where guests have no console. */
  readonly consoleLogs?: ConsoleLogs
  readonly events: EventWriter
  /** Keeps what was decided and from what, for a replay; nobody waits for it. */
  readonly keepDecision?: (id: string, input: CoordinatorInput, plan: Plan) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** What guests' consoles have said on this host. */
export interface ConsoleLogs {
  /** Bytes. */
  size(guest: GuestId): Promise<number>
  /** Fetches what is behind `offset` on the host that the guest is about to leave. How far it has come then, bytes. */
  carry(guest: GuestId, from: HostId, offset: number): Promise<number>
}

/** The host's address on the first of these networks that it has. */
export function addressOf(state: ClusterState, host: HostId, roles: readonly NetworkRole[]): string {
  const addresses = state.hosts.get(host)?.value.addresses ?? {}
  for (const role of roles) {
    const address = addresses[role]
    if (address !== undefined) return address
  }
  return '127.0.0.1'
}
