/**
 * How many guests are on their way off or onto a host at the same time. A live copy takes about one processor at each
 * end (encryption and memory), and a guest that is stopped and started no less; the others' work must go on beside it.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'
import { homeOf } from './root-copies.ts'

const PROCESSORS_PER_MOVE = 4
/** With one alone nothing would use the time in which the other's hypervisor starts and its disks are opened. */
const MOVES_MIN = 2
/** From here on it is the network that they share. */
const MOVES_MAX = 8

export class MoveSlots {
  readonly #state: ClusterState
  readonly #taken = new Map<HostId, number>()
  /** By native roots on their way, whose guests run on: that may take hours, and hinders no others but at these hosts. */
  readonly #sending = new Map<HostId, number>()

  constructor(state: ClusterState) {
    this.#state = state
    for (const { value: grant } of state.grants.values()) {
      if (!isActive(grant)) continue
      if (grant.handover) take(this.#taken, grant.host, grant.handover.to)
      else if (grant.state === 'recalled') take(this.#taken, grant.host, grant.movesTo)
    }
    for (const { value: volume } of state.volumes.values()) {
      const isRecalled = state.grants.get(volume.guest)?.value.state === 'recalled'
      if (volume.form === 'subvolume' && volume.move && !isRecalled) take(this.#sending, homeOf(volume), volume.move.to)
    }
  }

  /** Nothing moves now. */
  get unused(): boolean {
    return this.#taken.size === 0
  }

  isFree(host: HostId): boolean {
    const processors = this.#state.hosts.get(host)?.value.cpuCount ?? 0
    const max = Math.min(MOVES_MAX, Math.max(MOVES_MIN, Math.floor(processors / PROCESSORS_PER_MOVE)))
    return (this.#taken.get(host) ?? 0) + (this.#sending.get(host) ?? 0) < max
  }

  /** False when either host has enough to do. */
  take(from: HostId, to: HostId): boolean {
    if (!this.isFree(from) || !this.isFree(to)) return false
    take(this.#taken, from, to)
    return true
  }
}

function take(taken: Map<HostId, number>, ...hosts: readonly (HostId | undefined)[]): void {
  for (const host of hosts) if (host !== undefined) taken.set(host, (taken.get(host) ?? 0) + 1)
}
