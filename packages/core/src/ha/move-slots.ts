/**
 * How many guests are on their way off or onto a host at the same time. A live copy takes about one processor at each
 * end (encryption and memory), and a guest that is stopped and started no less; the others' work must go on beside it.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'

const PROCESSORS_PER_MOVE = 4
/** With one alone nothing would use the time in which the other's hypervisor starts and its disks are opened. */
const MOVES_MIN = 2
/** From here on it is the network that they share. */
const MOVES_MAX = 8

export class MoveSlots {
  readonly #state: ClusterState
  readonly #taken = new Map<HostId, number>()

  constructor(state: ClusterState) {
    this.#state = state
    for (const { value: grant } of state.grants.values()) {
      if (!isActive(grant)) continue
      if (grant.handover) this.#take(grant.host, grant.handover.to)
      else if (grant.state === 'recalled') this.#take(grant.host, grant.movesTo)
    }
  }

  /** Nothing moves now. */
  get unused(): boolean {
    return this.#taken.size === 0
  }

  isFree(host: HostId): boolean {
    const processors = this.#state.hosts.get(host)?.value.cpuCount ?? 0
    const max = Math.min(MOVES_MAX, Math.max(MOVES_MIN, Math.floor(processors / PROCESSORS_PER_MOVE)))
    return (this.#taken.get(host) ?? 0) < max
  }

  /** False when either host has enough to do. */
  take(from: HostId, to: HostId): boolean {
    if (!this.isFree(from) || !this.isFree(to)) return false
    this.#take(from, to)
    return true
  }

  #take(...hosts: readonly (HostId | undefined)[]): void {
    for (const host of hosts) if (host !== undefined) this.#taken.set(host, (this.#taken.get(host) ?? 0) + 1)
  }
}
