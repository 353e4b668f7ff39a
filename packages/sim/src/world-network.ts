/**
 * The cables and the power of a simulated cluster: which packets pass from whom to whom, on which network, how late,
 * and which are lost or doubled. What breaks here is silent, as a pulled cable is: nobody is told, answers just stay
 * away. Every fault can strike one direction only.
 */
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'

export type Presence = 'on' | 'frozen' | 'off'
/** As seen from the host: what it sends, what is sent to it. */
export type Direction = 'both' | 'out' | 'in'

/** What a bad link does to packets; on top of what a good one does. */
export interface Impairment {
  readonly delayMs: number
  /** Share of packets, 0 to 1. */
  readonly loss: number
  readonly duplicated: number
}

const DELAY_MS_MIN = 0.1
const DELAY_MS_SPREAD = 0.5
/** TCP sends a lost segment again after this long at first (Linux: at least 200 ms). */
const RETRANSMIT_MS = 200
const RETRANSMITS_MAX = 4

export interface WorldNetworkOptions {
  readonly hosts: readonly HostId[]
  readonly clock: VirtualClock
  readonly random: SeededRandom
}

export class WorldNetwork {
  readonly #hosts: readonly HostId[]
  readonly #clock: VirtualClock
  readonly #random: SeededRandom
  readonly #index = new Map<HostId, number>()
  readonly #presence = new Map<HostId, Presence>()
  /** `host role direction`. */
  readonly #cutCables = new Set<string>()
  /** `from to role`. */
  readonly #cutPaths = new Set<string>()
  /** By host and role: strikes what it sends and what it is sent. */
  readonly #impaired = new Map<string, Impairment>()
  /** By sender, receiver and role: 1 while packets pass. Worked out at each change, since it is asked for each packet. */
  readonly #passing: Uint8Array
  readonly #listeners = new Set<() => void>()

  constructor({ hosts, clock, random }: WorldNetworkOptions) {
    this.#hosts = hosts
    this.#clock = clock
    this.#random = random
    this.#passing = new Uint8Array(hosts.length * hosts.length * NETWORK_ROLES.length)
    for (const [index, host] of hosts.entries()) {
      this.#index.set(host, index)
      this.#presence.set(host, 'on')
    }
    this.#workOut()
  }

  presence(host: HostId): Presence {
    return this.#presence.get(host) ?? 'off'
  }

  setPresence(host: HostId, presence: Presence): void {
    this.#presence.set(host, presence)
    this.#changed()
  }

  cut(host: HostId, roles: readonly NetworkRole[] = NETWORK_ROLES, direction: Direction = 'both'): void {
    for (const role of roles)
      for (const way of direction === 'both' ? ['out', 'in'] : [direction])
        this.#cutCables.add(`${host} ${role} ${way}`)
    this.#changed()
  }

  /** What `from` sends does not reach `to`; what `to` sends does reach `from`. */
  cutOneWay(from: HostId, to: HostId, roles: readonly NetworkRole[] = NETWORK_ROLES): void {
    for (const role of roles) this.#cutPaths.add(`${from} ${to} ${role}`)
    this.#changed()
  }

  cutBetween(host: HostId, other: HostId, roles: readonly NetworkRole[] = NETWORK_ROLES): void {
    this.cutOneWay(host, other, roles)
    this.cutOneWay(other, host, roles)
  }

  impair(host: HostId, role: NetworkRole, impairment: Impairment): void {
    this.#impaired.set(`${host} ${role}`, impairment)
    this.#changed()
  }

  mend(host: HostId): void {
    for (const role of NETWORK_ROLES) {
      this.#impaired.delete(`${host} ${role}`)
      for (const way of ['out', 'in']) this.#cutCables.delete(`${host} ${role} ${way}`)
      for (const other of this.#hosts) {
        this.#cutPaths.delete(`${host} ${other} ${role}`)
        this.#cutPaths.delete(`${other} ${host} ${role}`)
      }
    }
    this.#changed()
  }

  /** Cables carry packets from one to the other, and both have power; one of them may be frozen all the same. */
  passes(from: HostId, to: HostId, role: NetworkRole): boolean {
    return this.#passing[this.#place(from, to, NETWORK_ROLES.indexOf(role))] === 1
  }

  passesAnyhow(from: HostId, to: HostId): boolean {
    const place = this.#place(from, to, 0)
    return NETWORK_ROLES.some((_, role) => this.#passing[place + role] === 1)
  }

  /** Packets pass both ways, so that a connection can be made. */
  linked(host: HostId, other: HostId, role: NetworkRole): boolean {
    return this.passes(host, other, role) && this.passes(other, host, role)
  }

  linkedAnyhow(host: HostId, other: HostId): boolean {
    return NETWORK_ROLES.some((role) => this.linked(host, other, role))
  }

  /** The host's own link is not impaired. */
  isClean(host: HostId, role: NetworkRole): boolean {
    return !this.#impaired.has(`${host} ${role}`)
  }

  /** How long what is sent over a connection takes to arrive: what is lost is sent again, later. */
  delayMs(from: HostId, to: HostId, role: NetworkRole): number {
    if (from === to) return DELAY_MS_MIN * this.#random.fraction()
    let ms = DELAY_MS_MIN + DELAY_MS_SPREAD * this.#random.fraction()
    for (const { delayMs, loss } of this.#impairments(from, to, role)) {
      ms += delayMs * (0.5 + this.#random.fraction())
      let pauseMs = RETRANSMIT_MS
      for (let again = 0; again < RETRANSMITS_MAX && this.#random.fraction() < loss; again++, pauseMs *= 2)
        ms += pauseMs
    }
    return ms
  }

  /** One packet that nobody repeats. It may arrive never, once or twice. */
  datagram(from: HostId, to: HostId, role: NetworkRole, arrive: () => void): void {
    if (!this.passes(from, to, role)) return
    let copies = 1
    let ms = DELAY_MS_MIN + DELAY_MS_SPREAD * this.#random.fraction()
    if (this.#impaired.size > 0) {
      for (const { delayMs, loss, duplicated } of this.#impairments(from, to, role)) {
        if (this.#random.fraction() < loss) return
        if (this.#random.fraction() < duplicated) copies += 1
        ms += delayMs * (0.5 + this.#random.fraction())
      }
    }
    for (; copies > 0; copies--)
      this.#clock.after(ms * copies, () => {
        // A cable that is pulled takes what is on it along.
        if (this.passes(from, to, role)) arrive()
        return 'quiet'
      })
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

  *#impairments(from: HostId, to: HostId, role: NetworkRole): Generator<Impairment> {
    if (this.#impaired.size === 0) return
    for (const host of [from, to]) {
      const found = this.#impaired.get(`${host} ${role}`)
      if (found) yield found
    }
  }

  #place(from: HostId, to: HostId, role: number): number {
    const row = this.#index.get(from) ?? 0
    const column = this.#index.get(to) ?? 0
    return (row * this.#hosts.length + column) * NETWORK_ROLES.length + role
  }

  #changed(): void {
    this.#workOut()
    for (const listener of [...this.#listeners]) listener()
  }

  #workOut(): void {
    for (const from of this.#hosts)
      for (const to of this.#hosts)
        for (const [index, role] of NETWORK_ROLES.entries())
          this.#passing[this.#place(from, to, index)] = this.#isOpen(from, to, role) ? 1 : 0
  }

  #isOpen(from: HostId, to: HostId, role: NetworkRole): boolean {
    if (this.presence(from) === 'off' || this.presence(to) === 'off') return false
    if (from === to) return true
    return (
      !this.#cutCables.has(`${from} ${role} out`) &&
      !this.#cutCables.has(`${to} ${role} in`) &&
      !this.#cutPaths.has(`${from} ${to} ${role}`)
    )
  }
}
