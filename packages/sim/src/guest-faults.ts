/** What is wrong with guests themselves, whichever host they are on: starts that fail, shutdowns that are not heard. */
import type { GuestId, HostId } from '@stead/core/model/ids.ts'

/** Of a container's live move: CRIU writes its processes down, and restores them. */
export type MoveStep = 'dump' | 'restore'

export class GuestFaults {
  /** By `step guest host` (or `step guest any`): how many times it still fails. */
  readonly #failing = new Map<string, number>()
  readonly #deaf = new Set<GuestId>()
  readonly #unready = new Set<GuestId>()

  /** `where`: a host's name or `any`. `times` may be infinite; 0 ends it. */
  fail(step: 'start' | MoveStep, guest: GuestId, where: string, times: number): void {
    this.#failing.set(`${step} ${guest} ${where}`, times)
  }

  /** True when it fails this time; it is then one less. */
  take(step: 'start' | MoveStep, guest: GuestId, host: HostId): boolean {
    for (const key of [`${step} ${guest} ${host}`, `${step} ${guest} any`]) {
      const left = this.#failing.get(key) ?? 0
      if (left <= 0) continue
      this.#failing.set(key, left - 1)
      return true
    }
    return false
  }

  setUnready(guest: GuestId, isUnready: boolean): void {
    if (isUnready) this.#unready.add(guest)
    else this.#unready.delete(guest)
  }

  isUnready(guest: GuestId): boolean {
    return this.#unready.has(guest)
  }

  makeDeaf(guest: GuestId): void {
    this.#deaf.add(guest)
  }

  isDeaf(guest: GuestId): boolean {
    return this.#deaf.has(guest)
  }
}
