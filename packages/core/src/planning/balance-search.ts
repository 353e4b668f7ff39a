/**
 * The search behind `balance`: which running items to move where, so that the hosts are filled evenly with few guests
 * moved. The choice of a step is made on a linear model of the score (its slope at the present state), since that
 * splits into a part for the host that is left and a part for the one that is taken; the step itself is measured.
 */
import type { BalanceStep } from './balance.ts'
import { NOWHERE } from './compiled.ts'
import { Effort } from './effort.ts'
import type { Item } from './item.ts'
import type { Occupancy } from './occupancy.ts'

/** Of the moves chosen so far, the weakest are dropped and others sought in their stead: one round for each share. */
const SHARES_DROPPED = [0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
const PASSES_MAX = 6
/**
 * Items times hosts that are judged for one move. Where there are more, only the fullest hosts are looked at as those
 * to leave and the emptiest as those to go to.
 */
const JUDGED_FOR_MOVE = 200_000
/** Hosts judged at most in all, about 10 ns each. */
const EFFORT = 150_000_000
/** A second of migration must gain this much, divided by the number of hosts: between equals, the light one moves. */
const GAIN_PER_SECOND = 1e-5
const ROUNDING = 1e-9

/** An item that may be moved. */
interface Mover {
  readonly item: Item
  readonly home: number
  /** How long its migration takes. */
  readonly seconds: number
  /** No rule or wish speaks of it, as of most: capacity alone decides. */
  readonly unruled: boolean
}

interface Found {
  readonly mover: Mover
  readonly to: number
  readonly value: number
}

export class BalanceSearch {
  readonly #occupancy: Occupancy
  readonly #movers: readonly Mover[]
  /** By host, for the linear model: shares taken, and one byte's or one processor's share. */
  readonly #memory: Float64Array
  readonly #cpu: Float64Array
  readonly #perByte: Float64Array
  readonly #perCpu: Float64Array
  readonly #effort = new Effort(EFFORT)
  #moved = 0

  constructor(occupancy: Occupancy, items: readonly Item[], secondsOf: (item: Item) => number) {
    const { hosts, memoryBytes, cpus } = occupancy.problem
    this.#occupancy = occupancy
    this.#movers = items.map((item) => ({
      item,
      home: item.place,
      seconds: secondsOf(item),
      unruled:
        item.allowed === undefined &&
        item.cost === undefined &&
        item.unit === undefined &&
        item.strictSets.length + item.wishedSets.length === 0,
    }))
    this.#memory = new Float64Array(hosts.length)
    this.#cpu = new Float64Array(hosts.length)
    this.#perByte = memoryBytes.map((bytes) => (bytes > 0 ? 1 / bytes : 0))
    this.#perCpu = cpus.map((count) => (count > 0 ? 1 / count : 0))
  }

  run({ movesMax, gainMin }: { readonly movesMax: number; readonly gainMin: number }): BalanceStep[] {
    this.#descend(movesMax, gainMin)
    this.#betterDestinations()
    for (const share of SHARES_DROPPED) {
      if (this.#effort.spent) break
      const before = {
        places: this.#movers.map(({ item }) => item.place),
        moved: this.#moved,
        score: this.#occupancy.spread(),
      }
      this.#dropWeakMoves(gainMin, share)
      this.#descend(movesMax, gainMin)
      this.#betterDestinations()
      // A move less is worth what a move must gain.
      const gain = before.score - this.#occupancy.spread() + (before.moved - this.#moved) * gainMin
      if (gain < ROUNDING) this.#restore(before.places)
    }
    return this.#inOrder()
  }

  #restore(places: readonly number[]): void {
    const changed = this.#movers
      .map((mover, index) => ({ mover, to: places[index]! }))
      .filter(({ mover, to }) => mover.item.place !== to)
    for (const { mover, to } of changed) this.#moved += movesAdded(mover, to)
    // All are lifted before any is put, so that none is in another's way.
    for (const { mover } of changed) this.#occupancy.lift(mover.item)
    for (const { mover, to } of changed) this.#occupancy.put(mover.item, to)
  }

  /** One move after the other, always the one that gains most for each guest moved. */
  #descend(movesMax: number, gainMin: number): void {
    for (;;) {
      const found = this.#bestMove(movesMax - this.#moved, gainMin)
      if (found === undefined || this.#effort.spent) return
      this.#move(found.mover, found.to)
    }
  }

  #move(mover: Mover, to: number): void {
    this.#moved += movesAdded(mover, to)
    this.#occupancy.lift(mover.item)
    this.#occupancy.put(mover.item, to)
  }

  #bestMove(movesLeft: number, gainMin: number): Found | undefined {
    const occupancy = this.#occupancy
    const secondCost = GAIN_PER_SECOND / occupancy.problem.usable.length
    const score = occupancy.spread()
    const model = this.#linearModel()
    const { isSource, destinations } = this.#hostsLookedAt()
    let best: Found | undefined
    for (const mover of this.#movers) {
      const { item } = mover
      if (isSource[item.place] === 0) continue
      this.#effort.spend(destinations.length)
      const to = this.#bestDestination(mover, model, destinations)
      if (to === NOWHERE) continue
      const added = movesAdded(mover, to)
      if (added > movesLeft) continue
      const gain = score - occupancy.spreadAfterShift(item.place, to, item.memoryBytes, item.cpus)
      if (gain < (added > 0 ? gainMin * added : ROUNDING)) continue
      const seconds = added > 0 ? mover.seconds : 0
      const value = (gain - seconds * secondCost) / Math.max(added, 0.25)
      if (best === undefined || value > best.value) best = { mover, to, value }
    }
    return best
  }

  /** What a share of memory or processors more on a host adds to the score: slope and mean of each. */
  #linearModel(): LinearModel {
    const { problem, usedMemory, usedCpus } = this.#occupancy
    for (const host of problem.usable) {
      this.#memory[host] = usedMemory[host]! * this.#perByte[host]!
      this.#cpu[host] = usedCpus[host]! * this.#perCpu[host]!
    }
    const memory = meanAndDeviation(this.#memory, problem.usable)
    const cpu = meanAndDeviation(this.#cpu, problem.usable)
    return {
      memoryMean: memory.mean,
      memorySlope: 1 / Math.max(memory.deviation, 1e-4),
      cpuMean: cpu.mean,
      cpuSlope: 1 / Math.max(cpu.deviation, 1e-4),
    }
  }

  #hostsLookedAt(): { isSource: Uint8Array; destinations: Int32Array } {
    const { usable, isUsable } = this.#occupancy.problem
    // Of n hosts, k to leave and k to go to take k * k / n times the items.
    const looked = Math.floor(Math.sqrt((JUDGED_FOR_MOVE * usable.length) / this.#movers.length))
    if (looked >= usable.length) return { isSource: isUsable, destinations: usable }
    const taken = (host: number) => this.#memory[host]! + this.#cpu[host]!
    const emptiestFirst = usable.toSorted((a, b) => taken(a) - taken(b))
    const isSource = new Uint8Array(isUsable.length)
    for (const host of emptiestFirst.subarray(-looked)) isSource[host] = 1
    return { isSource, destinations: emptiestFirst.subarray(0, looked) }
  }

  #bestDestination(mover: Mover, model: LinearModel, destinations: Int32Array): number {
    const { item, unruled } = mover
    const { memoryMean, memorySlope, cpuMean, cpuSlope } = model
    const occupancy = this.#occupancy
    const from = item.place
    const lessMemory = item.memoryBytes * this.#perByte[from]!
    const lessCpu = item.cpus * this.#perCpu[from]!
    // Taking a host must add less than leaving this one takes away.
    let least =
      memorySlope * lessMemory * (2 * (this.#memory[from]! - memoryMean) - lessMemory) +
      cpuSlope * lessCpu * (2 * (this.#cpu[from]! - cpuMean) - lessCpu)
    let best = NOWHERE
    for (let index = 0; index < destinations.length; index++) {
      const host = destinations[index]!
      const moreMemory = item.memoryBytes * this.#perByte[host]!
      const moreCpu = item.cpus * this.#perCpu[host]!
      const added =
        memorySlope * moreMemory * (2 * (this.#memory[host]! - memoryMean) + moreMemory) +
        cpuSlope * moreCpu * (2 * (this.#cpu[host]! - cpuMean) + moreCpu)
      if (added >= least || host === from || !occupancy.hasRoom(item, host)) continue
      if (!unruled && !this.#mayGo(mover, host)) continue
      least = added
      best = host
    }
    return best
  }

  /** No rule against it, and no wish spoilt that was fulfilled at home. */
  #mayGo({ item, home }: Mover, host: number): boolean {
    const occupancy = this.#occupancy
    const from = occupancy.lift(item)
    occupancy.prepare(item)
    const may =
      occupancy.admits(item, host) && occupancy.wishCostAt(item, host) <= occupancy.wishCostAt(item, home) + ROUNDING
    occupancy.put(item, from)
    return may
  }

  /** Items that move anyway exchange their destinations while that gains. */
  #betterDestinations(): void {
    const occupancy = this.#occupancy
    const moved = this.#awayFromHome()
    let improved = true
    for (let pass = 0; improved && pass < PASSES_MAX; pass++) {
      improved = false
      for (const [index, one] of moved.entries())
        for (let before = 0; before < index; before++) {
          const other = moved[before]!
          if (one.item.place === other.item.place) continue
          const bytes = one.item.memoryBytes - other.item.memoryBytes
          const cpus = one.item.cpus - other.item.cpus
          const after = occupancy.spreadAfterShift(one.item.place, other.item.place, bytes, cpus)
          if (after < occupancy.spread() - ROUNDING && this.#exchange(one, other)) improved = true
        }
    }
  }

  #awayFromHome(): Mover[] {
    return this.#movers.filter(({ item, home }) => item.place !== home)
  }

  #exchange(one: Mover, other: Mover): boolean {
    const [oneHost, otherHost] = [one.item.place, other.item.place]
    // Neither may end at home by chance: that would be a move less, and is `dropWeakMoves`' to decide.
    if (one.home === otherHost || other.home === oneHost) return false
    this.#occupancy.lift(other.item)
    if (this.#mayGo(one, otherHost)) {
      this.#occupancy.lift(one.item)
      this.#occupancy.put(one.item, otherHost)
      this.#occupancy.put(other.item, otherHost)
      if (this.#mayGo(other, oneHost)) {
        this.#occupancy.lift(other.item)
        this.#occupancy.put(other.item, oneHost)
        return true
      }
      this.#occupancy.lift(one.item)
      this.#occupancy.put(one.item, oneHost)
      return false
    }
    this.#occupancy.put(other.item, otherHost)
    return false
  }

  /** Takes back what gains too little by now, and a share of the moves that gain least for each guest moved. */
  #dropWeakMoves(gainMin: number, share: number): void {
    const occupancy = this.#occupancy
    const lossOf = ({ item, home }: Mover) =>
      (occupancy.spreadAfterShift(item.place, home, item.memoryBytes, item.cpus) - occupancy.spread()) /
      item.members.length
    const weakestFirst = this.#awayFromHome()
      .map((mover) => ({ mover, loss: lossOf(mover) }))
      .toSorted((a, b) => a.loss - b.loss)
    const dropped = Math.ceil(weakestFirst.length * share)
    for (const [index, { mover }] of weakestFirst.entries()) {
      if (index >= dropped && lossOf(mover) >= gainMin) continue
      if (this.#mayGo(mover, mover.home)) this.#move(mover, mover.home)
    }
  }

  /**
   * The moves in an order in which each has room and breaks no rule. What can't be ordered without a detour, a ring of
   * full hosts, stays at home.
   */
  #inOrder(): BalanceStep[] {
    const occupancy = this.#occupancy
    const open = new Map(this.#awayFromHome().map((mover) => [mover, mover.item.place]))
    // All are lifted before any is put: on the way back two could be in each other's way.
    for (const { item } of open.keys()) occupancy.lift(item)
    for (const { item, home } of open.keys()) occupancy.put(item, home)
    const steps: BalanceStep[] = []
    for (;;) {
      let best: { mover: Mover; to: number; after: number } | undefined
      for (const [mover, to] of open) {
        const { item, unruled } = mover
        if (!occupancy.hasRoom(item, to)) continue
        const after = occupancy.spreadAfterShift(item.place, to, item.memoryBytes, item.cpus)
        if (best !== undefined && after >= best.after) continue
        if (unruled || this.#mayGo(mover, to)) best = { mover, to, after }
      }
      if (best === undefined) return steps
      const { mover, to, after } = best
      const from = mover.home
      const fills = [
        occupancy.usedMemory[from]! * this.#perByte[from]!,
        occupancy.usedMemory[to]! * this.#perByte[to]!,
      ] as const
      steps.push({ item: mover.item, from, to, gain: occupancy.spread() - after, fills, demandedBecause: '' })
      occupancy.lift(mover.item)
      occupancy.put(mover.item, to)
      open.delete(mover)
    }
  }
}

/** Guests moved more by that step. Going home takes a move back; from one new place to another costs nothing more. */
function movesAdded({ item, home }: Mover, to: number): number {
  return item.members.length * (Number(to !== home) - Number(item.place !== home))
}

interface LinearModel {
  readonly memoryMean: number
  readonly memorySlope: number
  readonly cpuMean: number
  readonly cpuSlope: number
}

function meanAndDeviation(values: Float64Array, indices: Int32Array): { mean: number; deviation: number } {
  let sum = 0
  let squares = 0
  for (const index of indices) {
    sum += values[index]!
    squares += values[index]! ** 2
  }
  const mean = sum / indices.length
  return { mean, deviation: Math.sqrt(Math.max(0, squares / indices.length - mean * mean)) }
}
