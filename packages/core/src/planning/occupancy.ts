/**
 * Who is where while a plan is made: what is taken of each host, which domains the counted sets occupy, and how
 * unevenly the hosts are filled. Items are put and lifted; everything else is a question.
 */
import { assert } from '../assert.ts'
import { NOWHERE, type CompiledProblem } from './compiled.ts'
import { COST, type Item } from './item.ts'

/** Of fractions of processors that were added and taken away again. */
const ROUNDING = 1e-9

/** What holds the item to a host: its unit's other members. */
const ANYWHERE = -1
const CONTRADICTION = -2

export class Occupancy {
  readonly problem: CompiledProblem
  /** By guest: index of its host, or NOWHERE. */
  readonly placeOf: Int32Array
  readonly usedMemory: Float64Array
  readonly usedCpus: Float64Array
  readonly usedDevices: readonly Float64Array[]
  /** By counted set: domain -> how many of its members are there. */
  readonly #counts: readonly Map<number, number>[]
  /** 1 / capacity, 0 for a host without any. */
  readonly #perMemory: Float64Array
  readonly #perCpu: Float64Array
  /** Over usable hosts: sums of the shares that are taken, and of their squares. */
  #memorySum = 0
  #memorySquares = 0
  #cpuSum = 0
  #cpuSquares = 0
  /** A host is blocked for the prepared item when it carries the current stamp. */
  readonly #blocked: Uint32Array
  #stamp = 0
  #anchor = ANYWHERE

  constructor(problem: CompiledProblem) {
    const { hosts } = problem
    this.problem = problem
    this.placeOf = problem.placeOf.slice()
    this.usedMemory = new Float64Array(hosts.length)
    this.usedCpus = new Float64Array(hosts.length)
    this.usedDevices = problem.devices.map(() => new Float64Array(hosts.length))
    this.#counts = problem.sets.map(() => new Map<number, number>())
    this.#perMemory = problem.memoryBytes.map((bytes) => (bytes > 0 ? 1 / bytes : 0))
    this.#perCpu = problem.cpus.map((cpus) => (cpus > 0 ? 1 / cpus : 0))
    this.#blocked = new Uint32Array(hosts.length)
    for (let index = 0; index < problem.guests.length; index++) {
      const guest = problem.guests[index]!
      const place = this.placeOf[index]!
      if (place === NOWHERE) continue
      this.usedMemory[place]! += guest.memoryBytes
      this.usedCpus[place]! += guest.cpus
      for (const kind in guest.devices)
        this.usedDevices[problem.deviceIndex.get(kind)!]![place]! += guest.devices[kind]!
      this.#count(index, place, 1)
    }
    for (const host of problem.usable) this.#addShares(host, 1)
  }

  put(item: Item, host: number): void {
    assert(item.place === NOWHERE, 'an item is put in two places')
    item.place = host
    this.#shift(item, host, 1)
    for (const member of item.members) {
      this.placeOf[member] = host
      this.#count(member, host, 1)
    }
  }

  /** Takes the item off its host, and says which that was. */
  lift(item: Item): number {
    const host = item.place
    assert(host !== NOWHERE, 'an item is lifted that is nowhere')
    item.place = NOWHERE
    this.#shift(item, host, -1)
    for (const member of item.members) {
      this.placeOf[member] = NOWHERE
      this.#count(member, host, -1)
    }
    return host
  }

  /** To be called for a lifted item before `admits` and `costAt`: finds the hosts where others stand in its way. */
  prepare(item: Item): void {
    this.#stamp++
    for (const set of item.strictSets) {
      const { domains } = this.problem.sets[set]!
      for (const domain of this.#counts[set]!.keys())
        for (const host of domains.hostsOf[domain]!) this.#blocked[host] = this.#stamp
    }
    this.#anchor = item.contradictory ? CONTRADICTION : ANYWHERE
    if (item.unit === undefined || item.unit.members.length === item.members.length) return
    for (const member of item.unit.members) {
      const place = this.placeOf[member]!
      if (place === NOWHERE) continue
      if (this.#anchor === ANYWHERE) this.#anchor = place
      else if (this.#anchor !== place) this.#anchor = CONTRADICTION
    }
  }

  /** May the prepared item run there, by strict rules and capacity? The host must be a usable one. */
  admits(item: Item, host: number): boolean {
    return this.allows(item, host) && this.hasRoom(item, host)
  }

  /** As `admits`, capacity aside. */
  allows(item: Item, host: number): boolean {
    return (
      this.#blocked[host] !== this.#stamp &&
      (this.#anchor === ANYWHERE || this.#anchor === host) &&
      (item.allowed === undefined || item.allowed[host] === 1)
    )
  }

  /** Does another guest, or its domain, keep the prepared item off? */
  isBlocked(host: number): boolean {
    return this.#blocked[host] === this.#stamp
  }

  hasRoom(item: Item, host: number): boolean {
    if (this.usedMemory[host]! + item.memoryBytes > this.problem.memoryBytes[host]!) return false
    if (this.usedCpus[host]! + item.cpus > this.problem.cpus[host]! + ROUNDING) return false
    for (const { device, shares } of item.devices)
      if (this.usedDevices[device]![host]! + shares > this.problem.devices[device]!.capacity[host]!) return false
    return true
  }

  /** Of the prepared item there: wishes and history first, then how unevenly all hosts would be filled. */
  costAt(item: Item, host: number): number {
    return this.wishCostAt(item, host) + this.spreadWith(item, host)
  }

  /** What the item itself would rather have, without the spread. */
  wishCostAt(item: Item, host: number): number {
    let cost = item.cost === undefined ? 0 : item.cost[host]!
    for (let index = 0; index < item.wishedSets.length; index++) {
      const set = item.wishedSets[index]!
      const { kind, domains, size } = this.problem.sets[set]!
      const others = this.#counts[set]!.get(domains.domainOf[host]!) ?? 0
      const share = (others * item.wishedMembers[index]!) / (size - 1)
      cost += kind === 'apart' ? COST.wish * share : -COST.wish * share
    }
    return cost
  }

  /** The sum of the standard deviations of memory and processors taken, as shares of the usable hosts' capacity. */
  spread(): number {
    return this.#spreadOf(this.#memorySum, this.#memorySquares, this.#cpuSum, this.#cpuSquares)
  }

  /** The same, were the lifted item on that host. */
  spreadWith(item: Item, host: number): number {
    const memory = this.usedMemory[host]! * this.#perMemory[host]!
    const cpu = this.usedCpus[host]! * this.#perCpu[host]!
    const moreMemory = item.memoryBytes * this.#perMemory[host]!
    const moreCpu = item.cpus * this.#perCpu[host]!
    return this.#spreadOf(
      this.#memorySum + moreMemory,
      this.#memorySquares + moreMemory * (2 * memory + moreMemory),
      this.#cpuSum + moreCpu,
      this.#cpuSquares + moreCpu * (2 * cpu + moreCpu),
    )
  }

  /** The same, were so many bytes and processors more on one host and less on another. */
  spreadAfterShift(from: number, to: number, bytes: number, cpus: number): number {
    const lessMemory = -bytes * this.#perMemory[from]!
    const lessCpu = -cpus * this.#perCpu[from]!
    const moreMemory = bytes * this.#perMemory[to]!
    const moreCpu = cpus * this.#perCpu[to]!
    return this.#spreadOf(
      this.#memorySum + lessMemory + moreMemory,
      this.#memorySquares +
        lessMemory * (2 * this.usedMemory[from]! * this.#perMemory[from]! + lessMemory) +
        moreMemory * (2 * this.usedMemory[to]! * this.#perMemory[to]! + moreMemory),
      this.#cpuSum + lessCpu + moreCpu,
      this.#cpuSquares +
        lessCpu * (2 * this.usedCpus[from]! * this.#perCpu[from]! + lessCpu) +
        moreCpu * (2 * this.usedCpus[to]! * this.#perCpu[to]! + moreCpu),
    )
  }

  /** How full a host is: the greater of its shares of memory and processors. */
  fill(host: number): number {
    return Math.max(this.usedMemory[host]! * this.#perMemory[host]!, this.usedCpus[host]! * this.#perCpu[host]!)
  }

  #spreadOf(memorySum: number, memorySquares: number, cpuSum: number, cpuSquares: number): number {
    const hosts = this.problem.usable.length
    const memoryMean = memorySum / hosts
    const cpuMean = cpuSum / hosts
    // Rounding may leave a variance just below zero.
    return (
      Math.sqrt(Math.max(0, memorySquares / hosts - memoryMean * memoryMean)) +
      Math.sqrt(Math.max(0, cpuSquares / hosts - cpuMean * cpuMean))
    )
  }

  #shift(item: Item, host: number, sign: 1 | -1): void {
    this.#addShares(host, -1)
    this.usedMemory[host]! += sign * item.memoryBytes
    this.usedCpus[host]! += sign * item.cpus
    for (const { device, shares } of item.devices) this.usedDevices[device]![host]! += sign * shares
    this.#addShares(host, 1)
  }

  #addShares(host: number, sign: 1 | -1): void {
    if (this.problem.isUsable[host] === 0) return
    const memory = this.usedMemory[host]! * this.#perMemory[host]!
    const cpu = this.usedCpus[host]! * this.#perCpu[host]!
    this.#memorySum += sign * memory
    this.#memorySquares += sign * memory * memory
    this.#cpuSum += sign * cpu
    this.#cpuSquares += sign * cpu * cpu
  }

  #count(guest: number, host: number, change: 1 | -1): void {
    const sets = this.problem.setsOf[guest]
    if (sets === undefined) return
    for (const set of sets) {
      const domain = this.problem.sets[set]!.domains.domainOf[host]!
      const counts = this.#counts[set]!
      const count = (counts.get(domain) ?? 0) + change
      if (count === 0) counts.delete(domain)
      else counts.set(domain, count)
    }
  }
}
