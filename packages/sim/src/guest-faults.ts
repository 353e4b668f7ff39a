/** What is wrong with guests themselves, whichever host they are on: starts that fail, shutdowns that are not heard. */
import type { GuestId, HostId } from '@stead/core/model/ids.ts'

export class GuestFaults {
  /** By `guest host` (or `guest any`): how many starts still fail. */
  readonly #starts = new Map<string, number>()
  readonly #deaf = new Set<GuestId>()
  readonly #unready = new Set<GuestId>()

  /** `where`: a host's name or `any`. `times` may be infinite; 0 ends it. */
  failStarts(guest: GuestId, where: string, times: number): void {
    this.#starts.set(`${guest} ${where}`, times)
  }

  /** True when this start fails; it is then one less. */
  takeStart(guest: GuestId, host: HostId): boolean {
    for (const key of [`${guest} ${host}`, `${guest} any`]) {
      const left = this.#starts.get(key) ?? 0
      if (left <= 0) continue
      this.#starts.set(key, left - 1)
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
