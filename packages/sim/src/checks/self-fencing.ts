/** A host that nobody reaches has no guest left once the lease's time has passed. */
import type { HostId } from '@stead/core/model/ids.ts'
import type { WorldNetwork } from '../world-network.ts'
import type { Evidence } from './evidence.ts'

/** With fewer others nobody can take over, and a host does not fence itself. */
const PEERS_MIN = 2
/** How exactly the moment of isolation is known here. */
const LOOK_MS = 60

export class SelfFencing {
  readonly #evidence: Evidence
  readonly #network: WorldNetwork
  readonly #leaseTtlMs: number
  readonly #isolatedSince = new Map<HostId, number>()

  constructor(evidence: Evidence, network: WorldNetwork, leaseTtlMs: number) {
    this.#evidence = evidence
    this.#network = network
    this.#leaseTtlMs = leaseTtlMs
    network.onChange(() => this.#noteIsolation())
  }

  look(): void {
    if (this.#evidence.hostIds.length <= PEERS_MIN) return
    const nowMs = this.#evidence.clock.monotonicMs()
    for (const [host, sinceMs] of this.#isolatedSince) {
      if (nowMs - sinceMs <= this.#leaseTtlMs + LOOK_MS) continue
      for (const { launch } of this.#evidence.processesOn(host))
        this.#evidence.violate(
          `${launch.name} still runs on ${host}, which has had no contact for ${Math.round(nowMs - sinceMs)} ms`,
        )
    }
  }

  #noteIsolation(): void {
    for (const host of this.#evidence.hostIds) {
      const hasContact = this.#evidence.hostIds.some(
        (other) =>
          other !== host &&
          this.#network.presence(other) === 'on' &&
          this.#network.passesAnyhow(host, other) &&
          this.#network.passesAnyhow(other, host),
      )
      // While it is frozen its guests are too; the time counts all the same.
      if (hasContact || this.#network.presence(host) === 'off') this.#isolatedSince.delete(host)
      else if (!this.#isolatedSince.has(host)) this.#isolatedSince.set(host, this.#evidence.clock.monotonicMs())
    }
  }
}
