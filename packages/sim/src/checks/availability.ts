/**
 * A guest that could run, runs; and one that runs gets on with its work. Asked only when nothing was done to the world
 * for a while: by then the healthy part of the cluster must have found its way.
 */
import { failuresMax, type Guest, type GuestObservation } from '@stead/core/model/guest.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { inSync } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { hasRoom, soundPart } from '../world-health.ts'
import type { World } from '../world.ts'

/** From the last fault to a running guest: detection, election, start, and two failed tries with their pauses. */
const REST_MS = 20_000
/**
 * However long ago the last fault was, a replica that comes back over a bad network may stop its guest for 1.5 s, and a leg that
 * leaves one for the next for as long as the replica's host may take to serve it anew, 3 s, and what is asked before.
 */
const PAUSE_MS = 6_000
/** A disk whose guest runs and writes all the time has written within this time. */
const STILL_MS = 10_000

export class Availability {
  readonly #world: World
  /** Of each disk of a running process: how far its guest has got, and since when. */
  readonly #progress = new Map<string, { readonly acknowledged: number; readonly sinceMs: number }>()

  /** Guests that were found not running, and since when. */
  readonly #standing = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  /** To be called about every second. */
  look(): void {
    const { clock, changedAtMs } = this.#world
    this.#noteProgress()
    if (clock.monotonicMs() - changedAtMs < REST_MS) return this.#standing.clear()
    const healthy = soundPart(this.#world)
    if (healthy.size * 2 <= this.#world.hostIds.length) return
    for (const guest of this.#world.guests()) this.#judge(guest, healthy)
  }

  #judge(guest: Guest, healthy: ReadonlySet<HostId>): void {
    const { checks, clock } = this.#world
    if (guest.desired !== 'running' || guest.ha !== 'started' || guest.deleting) return
    if (!this.#couldRun(guest, healthy)) return
    const host = this.#world.grant(guest.name)?.host
    if (host && this.#isCrawling(host)) return void this.#standing.delete(guest.id)
    if (!this.#world.isRunning(guest.name)) {
      const sinceMs = this.#standing.get(guest.id) ?? clock.monotonicMs()
      this.#standing.set(guest.id, sinceMs)
      if (clock.monotonicMs() - sinceMs >= PAUSE_MS)
        checks.violate(`${guest.name} could run, and does not for ${REST_MS} ms after the last fault`)
      return
    }
    this.#standing.delete(guest.id)
    const disks = this.#world.hostOf(guest.id)?.machine.processes.get(guest.id)?.disks.keys() ?? []
    for (const volume of disks) {
      const progress = this.#progress.get(`${guest.id} ${volume}`)
      if (progress && clock.monotonicMs() - progress.sinceMs > STILL_MS)
        checks.violate(
          `${guest.name} runs on ${host} and has written nothing to ${volume} for ${Math.round(clock.monotonicMs() - progress.sinceMs)} ms`,
        )
    }
  }

  /**
   * Every network of the host is bad, and none is cut: it is not lost, and nobody promises how its guests get on
   * (docs/internals/simulator.md, known and open).
   */
  #isCrawling(host: HostId): boolean {
    return NETWORK_ROLES.every((role) => !this.#world.network.isClean(host, role))
  }

  #couldRun(guest: Guest, healthy: ReadonlySet<HostId>): boolean {
    const { id, volumes } = guest
    const record = <T>(key: string) => this.#world.record<T>(key)
    if ((record<GuestObservation>(KEYS.observation(id))?.failures ?? 0) >= failuresMax(guest)) return false
    const hasData = volumes.every((volume: VolumeId) => {
      const known = record<Volume>(KEYS.volume(volume))
      return known?.ready === true && inSync(known).some((replica) => healthy.has(replica.host))
    })
    // Its present host counts as room: it takes no more there than it has.
    return hasData && [...healthy].some((host) => hasRoom(this.#world, host, id))
  }

  #noteProgress(): void {
    const nowMs = this.#world.clock.monotonicMs()
    for (const host of this.#world.hosts)
      for (const { launch, disks } of host.processes)
        for (const [volume, { acknowledged }] of disks) {
          const key = `${launch.guest} ${volume}`
          if (this.#progress.get(key)?.acknowledged !== acknowledged)
            this.#progress.set(key, { acknowledged, sinceMs: nowMs })
        }
  }
}
