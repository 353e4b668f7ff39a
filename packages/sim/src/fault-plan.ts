/** A cluster and all that is done to it, drawn from a seed: apart from the world's own chance, so that it can be shrunk. */
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import { withContainers } from './container-plan.ts'
import type { CommandVerb, FaultCommand } from './fault-commands.ts'
import { SeededRandom } from './seeded-random.ts'
import type { WorldOptions } from './world.ts'

export interface FaultPlan {
  readonly world: WorldOptions
  readonly commands: readonly FaultCommand[]
}

/** Keeps the faults of a seed apart from the chance within its world. */
const FAULT_SALT = 0x5eed
const START_MS = 3_000
const ROUNDS = [3, 8] as const
const DWELL_MS_MAX = 6_000
const REST_MS_MAX = 4_000
/** Now and then a fault lasts so long that the rest of the cluster must have settled without the lost part. */
const LONG_SHARE = 0.1
const LONG_MS_MAX = 30_000
/** Real clocks drift by less than 200 ppm; some worlds have far worse ones. */
const DRIFT_PPM = 200
const BAD_DRIFT_PPM = 10_000
const BAD_DRIFT_SHARE = 0.1

interface Shape {
  readonly hosts: number
  readonly witness: boolean
}
const SHAPES: readonly Shape[] = [
  { hosts: 3, witness: false },
  { hosts: 3, witness: false },
  { hosts: 2, witness: true },
  { hosts: 2, witness: true },
  { hosts: 5, witness: false },
]

export function planFaults(seed: number): FaultPlan {
  const plan = new Planner(seed).plan()
  const probed = { ...plan, commands: withProbes(plan, seed) }
  const moved = { ...probed, commands: withReplicaMoves(probed, seed) }
  const changed = { ...moved, commands: withPoolChanges(moved, seed) }
  return withContainers({ ...changed, commands: withResizes(changed, seed) }, seed)
}

/** Drawn by a chance of its own too. */
const RESIZE_SALT = 0x9e51
const RESIZING_SHARE = 0.4
const RESIZE_BLOCKS_MAX = 8

/** In some worlds disks are enlarged, shortly before or after something else is done to the world. */
function withResizes({ world, commands }: FaultPlan, seed: number): readonly FaultCommand[] {
  const random = new SeededRandom(seed ^ RESIZE_SALT)
  if (random.fraction() >= RESIZING_SHARE) return commands
  const moments = commands.map(({ atMs }) => atMs).filter((atMs) => atMs >= START_MS)
  const more = Array.from({ length: random.between(1, 6) }, (): FaultCommand => {
    const awayMs = (random.fraction() - 0.5) * random.pick([200, 1_000, 6_000])
    const blocks = String(random.between(1, RESIZE_BLOCKS_MAX))
    const atMs = Math.max(START_MS, Math.round(random.pick(moments) + awayMs))
    return { atMs, verb: 'resize', args: [random.pick(Object.keys(world.guests)), blocks] }
  })
  return [...commands, ...more].toSorted((a, b) => a.atMs - b.atMs)
}

/** Drawn by a chance of its own too. */
const REPLICA_MOVE_SALT = 0x5707
const MOVING_SHARE = 0.5
const CANCEL_SHARE = 0.3

/** In some worlds disks move from host to host: each move begins shortly before something else is done to the world. */
function withReplicaMoves({ world, commands }: FaultPlan, seed: number): readonly FaultCommand[] {
  const random = new SeededRandom(seed ^ REPLICA_MOVE_SALT)
  if (random.fraction() >= MOVING_SHARE) return commands
  const places = Object.entries(world.guests).map(([name, hosts]) => ({
    name,
    hosts: [...(hosts as readonly string[])],
  }))
  const hosts = Array.from({ length: world.hosts ?? 0 }, (_, index) => `h${index + 1}`)
  const moments = commands.map(({ atMs }) => atMs).filter((atMs) => atMs >= START_MS)
  const more: FaultCommand[] = []
  const chosen = Array.from({ length: random.between(1, 7) }, () => random.pick(moments)).toSorted((a, b) => a - b)
  for (const moment of chosen) {
    const place = random.pick(places)
    const free = hosts.filter((host) => !place.hosts.includes(host))
    const atMs = Math.max(START_MS, Math.round(moment - random.fraction() * random.pick([200, 1_000, 4_000])))
    const add = (verb: CommandVerb, ...args: readonly string[]) =>
      more.push({ atMs, verb, args: [place.name, ...args] })
    const from = random.pick(place.hosts)
    const choice = random.fraction()
    if (choice < 0.15 && place.hosts.length > 1) {
      add('remove-replica', from)
      place.hosts.splice(place.hosts.indexOf(from), 1)
    } else if (free.length > 0) {
      const to = random.pick(free)
      const isAdded = choice > 0.8 && place.hosts.length < 3
      if (isAdded) add('add-replica', to)
      else add('move-replica', from, to)
      if (random.fraction() < CANCEL_SHARE) {
        const cancelledMs = Math.round(atMs + random.fraction() * random.pick([100, 1_000, 4_000]))
        more.push({ atMs: cancelledMs, verb: 'cancel-replica-move', args: [place.name] })
        // Asked for once more while what is left of the first one may still be under way.
        const againMs = Math.round(cancelledMs + random.fraction() * random.pick([100, 1_000]))
        more.push({ atMs: againMs, verb: 'move-replica', args: [place.name, from, to] })
      } else if (isAdded) place.hosts.push(to)
      else place.hosts.splice(place.hosts.indexOf(from), 1, to)
    }
  }
  return [...commands, ...more].toSorted((a, b) => a.atMs - b.atMs)
}

/** Drawn by a chance of its own too. */
const POOL_SALT = 0x9001

/** In some worlds replicas change their pool, beginning shortly before something else is done to the world. */
function withPoolChanges({ world, commands }: FaultPlan, seed: number): readonly FaultCommand[] {
  const random = new SeededRandom(seed ^ POOL_SALT)
  if (random.fraction() >= MOVING_SHARE) return commands
  const guests = Object.entries(world.guests)
  const moments = commands.map(({ atMs }) => atMs).filter((atMs) => atMs >= START_MS)
  const more: FaultCommand[] = []
  for (let times = random.between(1, 6); times > 0; times--) {
    const [name, hosts] = random.pick(guests)
    const before = random.fraction() * random.pick([200, 1_000, 4_000])
    const atMs = Math.max(START_MS, Math.round(random.pick(moments) - before))
    const host = random.pick(hosts as readonly string[])
    more.push({ atMs, verb: 'move-replica', args: [name, host, host] })
    if (random.fraction() >= CANCEL_SHARE) continue
    const cancelledMs = Math.round(atMs + random.fraction() * random.pick([100, 1_000, 4_000]))
    const againMs = Math.round(cancelledMs + random.fraction() * random.pick([100, 1_000]))
    more.push({ atMs: cancelledMs, verb: 'cancel-replica-move', args: [name] })
    more.push({ atMs: againMs, verb: 'move-replica', args: [name, host, host] })
  }
  return [...commands, ...more].toSorted((a, b) => a.atMs - b.atMs)
}

/** Drawn by a chance of its own, so that what else a seed does stays the same. */
const PROBE_SALT = 0x9b0b
const PROBED_SHARE = 0.3
const UNREADY_MS_MAX = 12_000

/** In some worlds a guest has a probe by which it is restarted, and is not ready now and then. */
function withProbes({ world, commands }: FaultPlan, seed: number): readonly FaultCommand[] {
  const random = new SeededRandom(seed ^ PROBE_SALT)
  if (random.fraction() >= PROBED_SHARE) return commands
  const guest = random.pick(Object.keys(world.guests))
  const endMs = Math.max(START_MS, ...commands.map(({ atMs }) => atMs))
  const more: FaultCommand[] = [{ atMs: 0, verb: 'probe', args: [guest] }]
  for (let times = random.between(1, 4); times > 0; times--) {
    const atMs = Math.round(START_MS + random.fraction() * (endMs - START_MS))
    const untilMs = Math.round(Math.min(endMs, atMs + random.fraction() * UNREADY_MS_MAX))
    more.push({ atMs, verb: 'unready', args: [guest] }, { atMs: untilMs, verb: 'ready-again', args: [guest] })
  }
  return [...commands, ...more].toSorted((a, b) => a.atMs - b.atMs)
}

/**
 * At most so many packets of a link are lost: beyond it the calls between agents hardly ever come through, which the model
 * sends over one network only (docs/internals/simulator.md, known and open).
 */
const LOSS_MAX = 0.6

function lossIn(random: SeededRandom): string {
  return (random.fraction() * LOSS_MAX).toFixed(2)
}

class Planner {
  readonly #seed: number
  readonly #random: SeededRandom
  readonly #commands: FaultCommand[] = []
  readonly #compute: readonly string[]
  readonly #all: readonly string[]
  readonly #shape: Shape
  readonly #guests: Record<string, readonly string[]> = {}
  #names: string[] = []
  #nowMs = START_MS

  constructor(seed: number) {
    this.#seed = seed
    this.#random = new SeededRandom(seed ^ FAULT_SALT)
    this.#shape = this.#random.pick(SHAPES)
    this.#compute = Array.from({ length: this.#shape.hosts }, (_, index) => `h${index + 1}`)
    this.#all = this.#shape.witness ? [...this.#compute, 'witness'] : this.#compute
  }

  plan(): FaultPlan {
    const random = this.#random
    for (let count = random.between(1, 4); count > 0; count--) this.#guests[`g${count}`] = this.#replicas()
    this.#names = Object.keys(this.#guests)
    const driftPpm = random.fraction() < BAD_DRIFT_SHARE ? BAD_DRIFT_PPM : DRIFT_PPM
    for (const host of this.#all)
      this.#add(0, 'drift', host, String(Math.round((random.fraction() * 2 - 1) * driftPpm)))
    for (let rounds = random.between(...ROUNDS); rounds > 0; rounds--) this.#round()
    return {
      world: {
        seed: this.#seed,
        ...this.#shape,
        guests: this.#guests,
        memoryGuests: random.pick([2, 3, 8]),
        writeMs: random.pick([20, 60, 200, 400]),
        diskMs: random.pick([6, 6, 60]),
        openMs: random.pick([0, 0, 200, 2_000, 2_000]),
        live: random.pick([true, true, false]),
      },
      commands: this.#commands.toSorted((a, b) => a.atMs - b.atMs),
    }
  }

  /** One to three faults, a while of suffering, then everything is healed. */
  #round(): void {
    const random = this.#random
    const startMs = this.#nowMs
    if (random.fraction() < 0.25) this.#userAct(startMs + random.fraction() * DWELL_MS_MAX)
    if (random.fraction() < 0.5) this.#moveLive(startMs)
    for (let faults = random.pick([1, 1, 1, 2, 2, 3]); faults > 0; faults--) {
      this.#strike(this.#nowMs)
      this.#nowMs += random.fraction() * random.pick([50, 500, 2_000])
    }
    this.#nowMs += random.fraction() * (random.fraction() < LONG_SHARE ? LONG_MS_MAX : DWELL_MS_MAX)
    this.#add(this.#nowMs, 'heal')
    this.#nowMs += random.fraction() * (random.fraction() < LONG_SHARE ? LONG_MS_MAX / 2 : REST_MS_MAX)
  }

  #strike(atMs: number): void {
    const random = this.#random
    const host = random.pick(this.#all)
    const other = random.pick(this.#all.filter((each) => each !== host))
    const store = random.pick(this.#compute)
    const role = random.pick(NETWORK_ROLES)
    const shortly = atMs + random.fraction() * random.pick([300, 1_500, 4_000])
    const choices: readonly (() => void)[] = [
      () => this.#add(atMs, 'power-off', host),
      () => this.#for(atMs, shortly, ['power-off', host], ['power-on', host]),
      () => this.#for(atMs, shortly, ['freeze', host], ['thaw', host]),
      () => this.#add(atMs, 'freeze', host),
      // It wakes up after it was given up, and before its guests' time has run out.
      () => this.#for(atMs, atMs + random.between(1_100, 2_200), ['freeze', store], ['thaw', store]),
      () => this.#add(atMs, 'cut', host),
      () => this.#add(atMs, 'cut', host, role),
      () => this.#add(atMs, random.pick(['cut-out', 'cut-in'] as const), host),
      () => this.#add(atMs, random.pick(['cut-out', 'cut-in'] as const), host, role),
      () => this.#add(atMs, 'cut-between', host, other),
      () => this.#add(atMs, 'cut-between', host, other, role),
      () => this.#add(atMs, 'cut-one-way', host, other),
      () => this.#add(atMs, 'cut-network', role),
      () => this.#for(atMs, shortly, ['cut', host], ['mend', host]),
      () => this.#add(atMs, 'impair', host, role, String(random.between(0, 400)), lossIn(random), '0.3'),
      () => {
        for (const each of NETWORK_ROLES)
          this.#add(atMs, 'impair', host, each, String(random.between(0, 400)), lossIn(random), '0.3')
      },
      () => this.#add(atMs, 'kill-agent', host),
      () => this.#for(atMs, shortly, ['pause-agent', host], ['resume-agent', host]),
      () => this.#add(atMs, 'pause-agent', host),
      () => this.#add(atMs, 'kill-guardian', host),
      () => this.#for(atMs, shortly, ['pause-guardian', host], ['resume-guardian', host]),
      () => this.#add(atMs, 'kill-deadman', store),
      () => this.#add(atMs, 'kill-guests', store),
      () => this.#add(atMs, 'kill-guest', random.pick(this.#names)),
      () => this.#add(atMs, 'kill-guest', random.pick(this.#names)),
      () => this.#add(atMs, 'kill-member', host),
      () => this.#add(atMs, 'lose-answer'),
      () => this.#add(atMs, 'compact-store'),
      () => this.#add(atMs, 'delay-watch', host, String(random.between(100, 5_000))),
      () => this.#add(atMs, 'kill-daemon', store),
      () => this.#for(atMs, shortly, ['pause-daemon', store], ['resume-daemon', store]),
      () => this.#add(atMs, 'pause-daemon', store),
      () => this.#for(atMs, shortly, ['disk-fails', store], ['mend-disk', store]),
      () => this.#for(atMs, shortly, ['disk-hangs', store], ['mend-disk', store]),
      () => this.#add(atMs, 'disk-full', store),
      () => this.#add(atMs, 'set-wall', host, String(random.between(-3_600_000, 3_600_000))),
      // All at once: a switch's power, a whole site's.
      () => {
        for (const each of this.#all) this.#add(atMs + random.fraction() * 50, 'power-off', each)
      },
      () => this.#overtakeStart(atMs),
      () => this.#loseSourceOfCopy(),
      () => this.#loseWriteInFlight(atMs, store),
      () => this.#loseMover(atMs),
    ]
    random.pick(choices)()
  }

  /**
   * A host is given up while it opens its guest's only replica, on another host: the next run may have it first. With
   * several replicas the records stop the older run, since the newer one calls all but one of them stale.
   */
  #overtakeStart(atMs: number): void {
    const random = this.#random
    const [guest, [store] = []] = Object.entries(this.#guests).find(([, replicas]) => replicas.length === 1) ?? []
    if (guest === undefined) return
    const runner = random.pick(this.#compute.filter((each) => each !== store))
    const others = this.#compute.filter((each) => each !== runner)
    const startMs = atMs + 1_000
    this.#for(atMs, startMs, ['force-stop', guest], ['start', guest])
    for (const other of others) this.#for(startMs - 100, startMs + 100, ['drain', other], ['undrain', other])
    const pausedMs = startMs - random.fraction() * 900
    this.#for(pausedMs, pausedMs + 4_000, ['pause-guardian', runner], ['resume-guardian', runner])
    this.#nowMs = Math.max(this.#nowMs, startMs + 2_500)
  }

  /**
   * A host is held to be lost while a guest leaves it that cannot be recovered, its only replica being there: the room
   * that was kept for it elsewhere is given to others.
   */
  #loseMover(atMs: number): void {
    const random = this.#random
    const [guest, [store = ''] = []] = Object.entries(this.#guests).find(([, replicas]) => replicas.length === 1) ?? []
    if (guest === undefined) return
    const to = random.pick(this.#compute.filter((each) => each !== store))
    this.#add(atMs, 'move-live', guest, to)
    const pausedMs = atMs - random.between(0, 900)
    this.#for(pausedMs, pausedMs + random.between(1_100, 2_600), ['pause-guardian', store], ['resume-guardian', store])
    this.#nowMs = Math.max(this.#nowMs, atMs + 2_000)
  }

  /** A replica comes back, and the one that it is copied from is dropped meanwhile, but can still be read. */
  #loseSourceOfCopy(): void {
    const random = this.#random
    const replicas = Object.values(this.#guests).find(({ length }) => length === 3)
    if (!replicas) return
    const target = random.pick(replicas)
    const source = random.pick(replicas.filter((each) => each !== target))
    this.#add(this.#nowMs, 'kill-daemon', target)
    this.#nowMs += random.fraction() * 2_000
    this.#add(this.#nowMs, 'cut', source, 'san')
  }

  /** A write reaches one replica only, and that one is dropped before the other is found to be silent. */
  #loseWriteInFlight(atMs: number, store: string): void {
    const survivor = this.#random.pick(this.#compute.filter((each) => each !== store))
    this.#add(atMs, 'cut', survivor, 'san')
    this.#nowMs += this.#random.fraction() * 900
    this.#add(this.#nowMs, 'kill-daemon', store)
  }

  /** Shortly before something breaks, so that it breaks at any moment of the move. */
  #moveLive(atMs: number): void {
    const random = this.#random
    const guest = random.pick(this.#names)
    const movedMs = atMs - random.fraction() * random.pick([200, 1_500])
    const how = random.pick(['move-live', 'move-live', 'move-post-copy'] as const)
    this.#add(movedMs, how, guest, random.pick(this.#compute))
    // A replica is brought up to date meanwhile: that begins about a second after its loss.
    const [store] = this.#guests[guest] ?? []
    if (store !== undefined && random.fraction() < 0.2)
      this.#add(Math.max(START_MS, movedMs - random.between(600, 1_600)), 'kill-daemon', store)
    if (random.fraction() < 0.1) this.#add(movedMs + random.fraction() * 1_500, 'cancel-move', guest)
  }

  #userAct(atMs: number): void {
    const random = this.#random
    const guest = random.pick(this.#names)
    const choices: readonly (() => void)[] = [
      () => {
        const name = `n${this.#names.length}`
        this.#names.push(name)
        this.#add(atMs, 'create', name, ...this.#replicas())
      },
      () => this.#add(atMs, 'delete', guest),
      () => this.#for(atMs, atMs + random.fraction() * 8_000, ['stop', guest], ['start', guest]),
      () => this.#for(atMs, atMs + random.fraction() * 8_000, ['force-stop', guest], ['start', guest]),
      () => this.#add(atMs, 'drain', random.pick(this.#compute)),
    ]
    random.pick(choices)()
  }

  #replicas(): readonly string[] {
    const width = this.#random.pick([1, 2, 2, 2, 2, 3])
    const left = [...this.#compute]
    const chosen: string[] = []
    while (chosen.length < width && left.length > 0)
      chosen.push(...left.splice(this.#random.between(0, left.length), 1))
    return chosen
  }

  #for(fromMs: number, toMs: number, begin: readonly [CommandVerb, string], end: readonly [CommandVerb, string]): void {
    this.#add(fromMs, ...begin)
    this.#add(toMs, ...end)
  }

  #add(atMs: number, verb: CommandVerb, ...args: readonly string[]): void {
    this.#commands.push({ atMs: Math.round(atMs), verb, args })
  }
}
