/**
 * How long a guest that failed rests before its next try: nothing, then 1, 2, 4, 8 s. Kept in memory and by the
 * monotonic clock: a new coordinator starts the pause again, and a jump of the wall clock changes nothing.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'
import type { Clock } from '../ports/clock.ts'

const FIRST_PAUSE_MS = 1_000
const PAUSE_MAX_MS = 8_000

export class RestartPacer {
  readonly #clock: Clock
  /** When each guest's present state (epoch and failures) was first seen. */
  readonly #seen = new Map<GuestId, { readonly mark: string; readonly atMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Guests that must rest, with the remaining time, ms. */
  pauses(state: ClusterState): ReadonlyMap<GuestId, number> {
    const nowMs = this.#clock.monotonicMs()
    const pauses = new Map<GuestId, number>()
    for (const { value: guest } of state.guests.values()) {
      const failures = state.observations.get(guest.id)?.value.failures ?? 0
      const grant = state.grants.get(guest.id)?.value
      const epoch = grant?.epoch ?? 0
      if (failures < 2 || isActive(grant)) {
        this.#seen.delete(guest.id)
        continue
      }
      const mark = `${epoch}/${failures}`
      const seen = this.#seen.get(guest.id)
      const since = seen?.mark === mark ? seen.atMs : nowMs
      this.#seen.set(guest.id, { mark, atMs: since })
      const pauseMs = Math.min(PAUSE_MAX_MS, FIRST_PAUSE_MS * 2 ** (failures - 2))
      if (since + pauseMs > nowMs) pauses.set(guest.id, since + pauseMs - nowMs)
    }
    for (const id of this.#seen.keys()) if (!state.guests.has(id)) this.#seen.delete(id)
    return pauses
  }
}
