/**
 * The disks of a simulated cluster: each host's replicas behind a storage daemon, and the connections through which
 * guests write to them over the world's network. A request takes time on its way there and back, so that a fault can
 * strike when one replica has a write and the other has not. Daemons die or stand still, disks fail, hang or fill up.
 */
import { failure } from '@stead/core/errors.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { breakConnection, type LegConnection, type LegServers } from './leg-servers.ts'
import { FIRST_PORT, type MemoryVolumeHost } from './memory-volume-host.ts'
import type { ReplicaContent } from './replica-content.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { TimerResult, VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'
import { networkAt } from './world-addresses.ts'

/** Of each host: where volumes begin, and where they can move to. */
export const [POOL, OTHER_POOL] = ['default', 'fast'] as const
export const POOLS = [POOL, OTHER_POOL]
/** Blocks of a volume. */
export const SLOTS = 12
/**
 * So many writes stay within so many neighbouring blocks, then the next ones have their turn: what a run does not write
 * again for a while is what a resync may forget.
 */
export const STRETCH_WRITES = 6
const STRETCH_SLOTS = 3
/**
 * One bit of the world's bitmaps stands for 128 of the real one's 64 KiB. So a guest that has written to eight of its
 * twelve blocks has passed the threshold of a bitmap rotation, and a resync takes several passes.
 */
export const WORLD_BLOCK_BYTES = 8 << 20
const EPOCHS_MAX = 1_000

export type DiskState = 'ok' | 'fails' | 'hangs' | 'full'
type DaemonState = 'up' | 'paused' | 'down'
export type Reach = 'answers' | 'silent' | 'refuses'

interface Server {
  daemon: DaemonState
  disk: DiskState
  /** Changes with each start: a connection to an earlier one is dead. */
  generation: number
}

interface Connection extends LegConnection {
  readonly client: HostId
  /** That it goes over. */
  readonly network: NetworkRole
  /** Carried by the export's name. */
  readonly epoch: number
  readonly generation: number
  /** Of the export that it was made to. */
  readonly instance: number | undefined
}

/** A guest's write that a replica now holds. */
export interface Written {
  readonly writer: HostId
  /** Of the replica. */
  readonly host: HostId
  readonly volume: VolumeId
  readonly exportName: string
  readonly epoch: number
}

export interface WorldStorageOptions {
  readonly hosts: readonly HostId[]
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly volumesOf: (host: HostId) => MemoryVolumeHost
  /** Where the replica of this host is, as the store has it. */
  readonly poolOf: (host: HostId, volume: VolumeId) => string
  /** A disk takes up to so long for a request, before it is done and again before that is told. */
  readonly diskMs: number
  /** A guest's write has reached a replica. */
  readonly onWritten: (written: Written) => void
}

export class WorldStorage {
  readonly #options: WorldStorageOptions
  readonly #servers = new Map<HostId, Server>()
  readonly #connections = new Set<Connection>()
  readonly #listeners = new Set<() => void>()
  readonly #numbers = new WeakMap<ReplicaContent, { readonly present: BlockNumbers; readonly lasting: BlockNumbers }>()

  constructor(options: WorldStorageOptions) {
    this.#options = options
    for (const host of options.hosts) this.#servers.set(host, { daemon: 'up', disk: 'ok', generation: 1 })
    options.network.onChange(() => this.#changed())
  }

  get diskMs(): number {
    return this.#options.diskMs
  }

  daemon(host: HostId): DaemonState {
    return this.#server(host).daemon
  }

  disk(host: HostId): DiskState {
    return this.#server(host).disk
  }

  /**
   * The daemon ends: its clients see it at once, where cables lead there. Returns the volumes that have layers here: what was
   * not flushed to them is kept or not, as chance has it.
   */
  stopDaemon(host: HostId): readonly VolumeId[] {
    const { volumesOf, random } = this.#options
    this.#server(host).daemon = 'down'
    const layered = volumesOf(host).loseDaemon(() => random.fraction() < 0.5)
    for (const connection of this.#connections)
      if (connection.leg.host === host && this.#reachBy(connection) === 'refuses') breakConnection(connection)
    this.#changed()
    return layered
  }

  /** After a daemon's end or its host's: whoever was connected learns of it when he can be reached. */
  startDaemon(host: HostId): void {
    const server = this.#server(host)
    server.daemon = 'up'
    server.generation += 1
    this.#changed()
  }

  pauseDaemon(host: HostId, isPaused: boolean): void {
    const server = this.#server(host)
    if (server.daemon !== 'down') server.daemon = isPaused ? 'paused' : 'up'
    this.#changed()
  }

  setDisk(host: HostId, state: DiskState): void {
    this.#server(host).disk = state
    this.#changed()
  }

  /** How a host's daemon behaves towards a client on another host, or on the same. */
  reach(client: HostId, host: HostId, role: NetworkRole): Reach {
    const { network } = this.#options
    if (!network.linked(client, host, role) || network.presence(host) !== 'on') return 'silent'
    const { daemon } = this.#server(host)
    return daemon === 'up' ? 'answers' : daemon === 'down' ? 'refuses' : 'silent'
  }

  #reachBy({ client, leg, network }: Connection): Reach {
    return this.reach(client, leg.host as HostId, network)
  }

  /** Legs as the guests of one host see them. */
  legsOf(client: HostId): LegServers {
    return {
      connect: (leg, volume) => this.#connect(client, leg, volume),
      close: (connection) => {
        this.#connections.delete(connection as Connection)
        breakConnection(connection)
      },
      write: (connection, value, onEnd) => this.#send(connection as Connection, value, onEnd),
      flush: (connection, onEnd) => this.#send(connection as Connection, 'flush', onEnd),
      lastWrite: (connection) =>
        Math.floor(Math.max(0, ...this.numbersOn(connection.leg.host as HostId, connection.volume))),
      onChange: (listener) => this.#options.network.onChange(listener),
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The number in each block of a replica; empty when there is none. */
  numbersOn(host: HostId, volume: VolumeId): readonly number[] {
    return this.#read(host, volume)?.present.now() ?? []
  }

  /** What a loss of power would leave in each block, in the worst case. */
  flushedNumbersOn(host: HostId, volume: VolumeId): readonly number[] {
    return this.#read(host, volume)?.lasting.now() ?? []
  }

  #read(host: HostId, volume: VolumeId) {
    const content = this.#options.volumesOf(host).contentOf(volume, this.#options.poolOf(host, volume))
    if (!content) return undefined
    let numbers = this.#numbers.get(content)
    if (!numbers) {
      const present = new BlockNumbers(content, (slot) => content.block(slot))
      numbers = { present, lasting: new BlockNumbers(content, (slot) => content.flushedBlock(slot)) }
      this.#numbers.set(content, numbers)
    }
    return numbers
  }

  #server(host: HostId): Server {
    const server = this.#servers.get(host)
    if (!server) throw new Error(`there is no host ${host}`)
    return server
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      const off = this.onChange(() => {
        off()
        resolve()
      })
    })
  }

  #connect(client: HostId, leg: Leg, volume: VolumeId): Result<LegConnection> {
    const host = leg.host as HostId
    const { generation } = this.#server(host)
    const pool = poolServing(leg)
    const instance = this.#options.volumesOf(host).exportInstance(volume, pool, leg.exportName)
    const state = { broken: false, attached: false, inFlight: new Set<never>() }
    const epoch = Number(/-e(\d+)/.exec(leg.exportName)?.[1])
    const network = networkAt(leg.endpoint)
    const connection: Connection = { leg, volume, client, network, epoch, generation, instance, ...state }
    if (this.#reachBy(connection) !== 'answers' || instance === undefined)
      return fail(failure('host_unreachable', `The replica on ${leg.host} does not answer`))
    this.#connections.add(connection)
    return ok(connection)
  }

  #send(connection: Connection, request: number | 'flush', onEnd: (done: boolean) => void): void {
    const { clock, random, network, diskMs } = this.#options
    if (connection.broken) return onEnd(false)
    const end = (done: boolean) => {
      if (connection.inFlight.delete(end)) onEnd(done)
    }
    connection.inFlight.add(end)
    const host = connection.leg.host as HostId
    const ms = network.delayMs(connection.client, host, connection.network) + random.fraction() * diskMs
    clock.after(ms, () => {
      // The usual case, without a promise: everything is in order at both ends.
      if (this.#isServing(connection)) return this.#serve(connection, request, end)
      return void this.#deliver(connection, request, end)
    })
  }

  #isServing(connection: Connection): boolean {
    const server = this.#server(connection.leg.host as HostId)
    const isCurrent = server.generation === connection.generation
    return this.#reachBy(connection) === 'answers' && server.disk !== 'hangs' && isCurrent
  }

  async #deliver(connection: Connection, request: number | 'flush', end: (done: boolean) => void): Promise<void> {
    const { network } = this.#options
    const host = connection.leg.host as HostId
    let isThere = false
    for (;;) {
      const server = this.#server(host)
      isThere ||= network.passes(connection.client, host, connection.network)
      // What lies in a standing server's socket is executed when it goes on, whether or not the client still waits;
      // what is still on this side of a cut cable goes with the connection.
      if (connection.broken && !isThere) return
      // What a host had received is gone with its power; the client goes on sending, until somebody answers.
      if (network.presence(host) === 'off') isThere = false
      const isRunning = network.presence(host) === 'on' && server.daemon !== 'paused'
      if (isThere && isRunning) {
        if (server.daemon === 'down' || server.generation !== connection.generation) return this.#refuse(connection)
        if (server.disk !== 'hangs') return void this.#serve(connection, request, end)
      }
      await this.#nextChange()
    }
  }

  /** The connection belongs to a daemon that is gone: the client learns it as soon as a packet reaches it. */
  async #refuse(connection: Connection): Promise<void> {
    const host = connection.leg.host as HostId
    while (!connection.broken && !this.#options.network.passes(host, connection.client, connection.network))
      await this.#nextChange()
    this.#connections.delete(connection)
    breakConnection(connection)
  }

  #serve(connection: Connection, request: number | 'flush', end: (done: boolean) => void): TimerResult {
    const { clock, random, network, volumesOf, onWritten, diskMs } = this.#options
    const { leg, volume, client, epoch } = connection
    const host = leg.host as HostId
    const pool = poolServing(leg)
    const present = volumesOf(host).exportInstance(volume, pool, leg.exportName)
    if (present === undefined || present !== connection.instance) return void this.#refuse(connection)
    const isRefused = this.#server(host).disk === 'fails'
    const done = isRefused
      ? fail(failure('storage', 'Input/output error'))
      : request === 'flush'
        ? volumesOf(host).flushThrough(volume, pool, leg.exportName)
        : volumesOf(host).writeBlockThrough(volume, pool, leg.exportName, slotOf(request), bytesOf(request, epoch))
    if (done.ok && request !== 'flush') onWritten({ writer: client, host, volume, exportName: leg.exportName, epoch })
    clock.after(random.fraction() * diskMs + network.delayMs(host, client, connection.network), () => {
      if (connection.broken || this.#reachBy(connection) !== 'silent') end(done.ok)
      else void this.#answerLater(connection, () => end(done.ok))
    })
    return 'quiet'
  }

  async #answerLater(connection: Connection, end: () => void): Promise<void> {
    const host = connection.leg.host as HostId
    while (!connection.broken && this.#reachBy(connection) === 'silent') await this.#nextChange()
    if (this.#server(host).generation !== connection.generation) return this.#refuse(connection)
    end()
  }
}

/** Each pool's daemon has a port of its own. */
function poolServing({ endpoint }: Leg): string {
  return (endpoint.kind === 'tcp' ? POOLS[endpoint.port - FIRST_PORT] : undefined) ?? POOL
}

/** The block that write number `value` goes to, as the number and a fraction that tells the epoch. */
export function slotOf(value: number): number {
  return (Math.floor(value / STRETCH_WRITES) * STRETCH_SLOTS + (value % STRETCH_SLOTS)) % SLOTS
}

/** The numbers in a replica's blocks. Those who check ask all the time: only what has changed is read anew. */
class BlockNumbers {
  readonly #content: ReplicaContent
  readonly #blockAt: (slot: number) => Uint8Array
  readonly #blocks: Uint8Array[] = []
  readonly #numbers: number[] = []
  #version = -1

  constructor(content: ReplicaContent, blockAt: (slot: number) => Uint8Array) {
    this.#content = content
    this.#blockAt = blockAt
  }

  /** By block. The same array every time: it changes with the next call. */
  now(): readonly number[] {
    if (this.#version === this.#content.version) return this.#numbers
    this.#version = this.#content.version
    for (let slot = 0; slot < SLOTS; slot++) {
      const block = this.#blockAt(slot)
      // A block is replaced as a whole.
      if (block === this.#blocks[slot]) continue
      this.#blocks[slot] = block
      this.#numbers[slot] = numberIn(block)
    }
    return this.#numbers
  }
}

/** The epoch is part of what is written: the same number of another run is another write. */
function bytesOf(value: number, epoch: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value + epoch / EPOCHS_MAX)
  return bytes
}

function numberIn(block: Uint8Array): number {
  return block.length < 8 ? 0 : new DataView(block.buffer, block.byteOffset).getFloat64(0)
}
