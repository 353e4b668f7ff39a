/**
 * How long each guest has been seen running, by the monotonic clock of who looks: start order waits for it. A new
 * coordinator begins to count anew, which only makes it wait longer.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'
import type { Clock } from '../ports/clock.ts'

export class RunningTimes {
  readonly #clock: Clock
  readonly #since = new Map<GuestId, { readonly epoch: number; readonly atMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Guests that run, with the time since it was first seen, ms. `isPresent`: whether the host is heard now, in the boot
   * in which the guest was started there; what was last reported from any other host says nothing.
   */
  of(state: ClusterState, isPresent: (host: HostId) => boolean): ReadonlyMap<GuestId, number> {
    const nowMs = this.#clock.monotonicMs()
    const times = new Map<GuestId, number>()
    for (const { value: seen } of state.observations.values()) {
      const grant = state.grants.get(seen.guest)?.value
      const isReported = isActive(grant) && grant.epoch === seen.epoch && seen.phase === 'running'
      const runs = isReported && isPresent(grant.host)
      const known = this.#since.get(seen.guest)
      if (!runs) this.#since.delete(seen.guest)
      else if (known?.epoch !== seen.epoch) this.#since.set(seen.guest, { epoch: seen.epoch, atMs: nowMs })
      if (runs) times.set(seen.guest, nowMs - (this.#since.get(seen.guest)?.atMs ?? nowMs))
    }
    for (const guest of this.#since.keys()) if (!times.has(guest)) this.#since.delete(guest)
    return times
  }
}
