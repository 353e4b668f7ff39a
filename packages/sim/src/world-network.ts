/**
 * The cables and the power of a simulated cluster: who reaches whom, on which network, and since when not. What
 * breaks here is silent, as a pulled cable is: nobody is told, answers just stay away.
 */
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'

type Presence = 'on' | 'frozen' | 'off'

export class WorldNetwork {
  readonly #clock: Clock
  readonly #presence = new Map<HostId, Presence>()
  readonly #cutCables = new Set<string>()
  readonly #cutPairs = new Set<string>()
  readonly #mute = new Set<HostId>()
  readonly #listeners = new Set<() => void>()
  /** `from to role` -> when the last heartbeat passed; absent while they pass. */
  readonly #silentSince = new Map<string, number>()
  readonly #hosts: readonly HostId[]

  constructor(hosts: readonly HostId[], clock: Clock) {
    this.#hosts = hosts
    this.#clock = clock
    for (const host of hosts) this.#presence.set(host, 'on')
  }

  presence(host: HostId): Presence {
    return this.#presence.get(host) ?? 'off'
  }

  setPresence(host: HostId, presence: Presence): void {
    this.#presence.set(host, presence)
    this.#changed()
  }

  cut(host: HostId, roles: readonly NetworkRole[] = NETWORK_ROLES): void {
    for (const role of roles) this.#cutCables.add(`${host} ${role}`)
    this.#changed()
  }

  cutBetween(host: HostId, other: HostId): void {
    this.#cutPairs.add(pair(host, other))
    this.#changed()
  }

  /** The host's guardian sends and hears nothing. */
  setMute(host: HostId, mute: boolean): void {
    if (mute) this.#mute.add(host)
    else this.#mute.delete(host)
    this.#changed()
  }

  mend(host: HostId): void {
    for (const role of NETWORK_ROLES) this.#cutCables.delete(`${host} ${role}`)
    for (const other of this.#hosts) this.#cutPairs.delete(pair(host, other))
    this.#changed()
  }

  /** The cables between them and the power of both are in order; one of them may be frozen all the same. */
  connected(from: HostId, to: HostId, role: NetworkRole): boolean {
    if (this.presence(from) === 'off' || this.presence(to) === 'off') return false
    if (from === to) return true
    return (
      !this.#cutCables.has(`${from} ${role}`) &&
      !this.#cutCables.has(`${to} ${role}`) &&
      !this.#cutPairs.has(pair(from, to))
    )
  }

  connectedAnyhow(from: HostId, to: HostId): boolean {
    return NETWORK_ROLES.some((role) => this.connected(from, to, role))
  }

  /** Both run and packets pass. */
  hears(listener: HostId, speaker: HostId): boolean {
    return (
      this.presence(listener) === 'on' && this.presence(speaker) === 'on' && this.connectedAnyhow(listener, speaker)
    )
  }

  /** Since when no heartbeat of the speaker arrives on this network; undefined while they do. */
  silentSinceMs(listener: HostId, speaker: HostId, role: NetworkRole): number | undefined {
    return this.#silentSince.get(`${listener} ${speaker} ${role}`)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves at the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      const off = this.onChange(() => {
        off()
        resolve()
      })
    })
  }

  #changed(): void {
    for (const listener of this.#hosts) {
      for (const speaker of this.#hosts) {
        if (listener === speaker) continue
        for (const role of NETWORK_ROLES) {
          const key = `${listener} ${speaker} ${role}`
          const passes =
            this.hears(listener, speaker) &&
            this.connected(listener, speaker, role) &&
            !this.#mute.has(listener) &&
            !this.#mute.has(speaker)
          if (passes) this.#silentSince.delete(key)
          else if (!this.#silentSince.has(key)) this.#silentSince.set(key, this.#clock.monotonicMs())
        }
      }
    }
    for (const listener of [...this.#listeners]) listener()
  }
}

function pair(host: HostId, other: HostId): string {
  return host < other ? `${host} ${other}` : `${other} ${host}`
}
