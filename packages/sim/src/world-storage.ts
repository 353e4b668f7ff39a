/**
 * The disks of a simulated cluster: each host's replicas behind a storage daemon, and the connections through which
 * guests write to them over the world's network. A request takes time on its way there and back, so that a fault can
 * strike when one replica has a write and the other has not.
 */
import { failure } from '@stead/core/errors.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import type { LegHealth, LegWatch } from '@stead/core/ports/leg-watch.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { breakConnection, type LegConnection, type LegServers } from './leg-servers.ts'
import { BLOCK_BYTES, type MemoryVolumeHost } from './memory-volume-host.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'

export const POOL = 'default'
/** Blocks of a volume; write number N goes to block N modulo this. */
export const SLOTS = 12
const REQUEST_MS_MAX = 12
const WATCH_INTERVAL_MS = 200
const UNRESPONSIVE_MS = 900

export type Reach = 'answers' | 'silent' | 'refuses'

export interface WorldStorageOptions {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly volumesOf: (host: HostId) => MemoryVolumeHost
  /** A guest's write has reached a replica. */
  readonly onWritten: (writer: HostId, replicaHost: HostId, volume: VolumeId, exportName: string) => void
}

export class WorldStorage {
  readonly #options: WorldStorageOptions
  readonly #downDaemons = new Set<HostId>()
  readonly #connections = new Map<LegConnection, HostId>()

  constructor(options: WorldStorageOptions) {
    this.#options = options
  }

  isDaemonUp(host: HostId): boolean {
    return !this.#downDaemons.has(host)
  }

  /** The daemon ends: its clients see it at once, where a cable leads there. */
  stopDaemon(host: HostId): void {
    this.#downDaemons.add(host)
    this.#options.volumesOf(host).loseDaemon()
    for (const [connection, client] of this.#connections)
      if (connection.leg.host === host && this.reach(client, host) === 'refuses') breakConnection(connection)
  }

  startDaemon(host: HostId): void {
    this.#downDaemons.delete(host)
  }

  /** The host was off: whoever was connected learns of it now. */
  startAfresh(host: HostId): void {
    this.startDaemon(host)
    for (const connection of this.#connections.keys()) if (connection.leg.host === host) breakConnection(connection)
  }

  /** How a host's daemon behaves towards a client on another host, or on the same. */
  reach(client: HostId, host: HostId): Reach {
    const { network } = this.#options
    if (!network.connected(client, host, 'san') || network.presence(host) !== 'on') return 'silent'
    return this.#downDaemons.has(host) ? 'refuses' : 'answers'
  }

  /** Legs as the guests of one host see them. */
  legsOf(client: HostId): LegServers {
    return {
      connect: (leg, volume) => this.#connect(client, leg, volume),
      close: (connection) => {
        this.#connections.delete(connection)
        breakConnection(connection)
      },
      write: (connection, value, onEnd) => this.#write(client, connection, value, onEnd),
      answers: (connection) =>
        !connection.broken &&
        this.reach(client, connection.leg.host as HostId) === 'answers' &&
        this.#isServed(connection),
      lastWrite: (connection) =>
        highestNumber(this.#options.volumesOf(connection.leg.host as HostId).contentOf(connection.volume, POOL)),
      onChange: (listener) => this.#options.network.onChange(listener),
    }
  }

  watchOf(client: HostId, hostAt: (endpoint: Leg['endpoint']) => HostId): LegWatch {
    return { watch: (endpoint, onChange) => this.#watch(client, hostAt(endpoint), onChange) }
  }

  #connect(client: HostId, leg: Leg, volume: VolumeId): Result<LegConnection> {
    const connection: LegConnection = { leg, volume, broken: false, attached: false, inFlight: new Set() }
    if (this.reach(client, leg.host as HostId) !== 'answers' || !this.#isServed(connection))
      return fail(failure('host_unreachable', `The replica on ${leg.host} does not answer`))
    this.#connections.set(connection, client)
    return ok(connection)
  }

  #isServed({ leg, volume }: LegConnection): boolean {
    return this.#options.volumesOf(leg.host as HostId).hasExport(volume, POOL, leg.exportName)
  }

  #write(client: HostId, connection: LegConnection, value: number, onEnd: (done: boolean) => void): void {
    const { clock, random } = this.#options
    if (connection.broken) return onEnd(false)
    const end = (done: boolean) => {
      if (connection.inFlight.delete(end)) onEnd(done)
    }
    connection.inFlight.add(end)
    clock.after(random.fraction() * REQUEST_MS_MAX, () => void this.#deliver(client, connection, value, end))
  }

  async #deliver(
    client: HostId,
    connection: LegConnection,
    value: number,
    end: (done: boolean) => void,
  ): Promise<void> {
    const { clock, random, network } = this.#options
    const host = connection.leg.host as HostId
    while (this.reach(client, host) === 'silent') {
      // What lies in a frozen server's socket is executed when it wakes up, whether or not the client still waits;
      // what is still on this side of a cut cable goes with the connection.
      const isOnItsWay = connection.broken && !network.connected(client, host, 'san')
      if (isOnItsWay || network.presence(host) === 'off') return
      await network.changed()
    }
    const written = this.#writeBlock(client, connection, value)
    if (!written) {
      this.#connections.delete(connection)
      return breakConnection(connection)
    }
    await clock.sleep(random.fraction() * REQUEST_MS_MAX)
    while (this.reach(client, host) === 'silent' && !connection.broken) await network.changed()
    end(true)
  }

  #writeBlock(client: HostId, { leg, volume }: LegConnection, value: number): boolean {
    const host = leg.host as HostId
    if (this.#downDaemons.has(host)) return false
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setFloat64(0, value)
    const written = this.#options
      .volumesOf(host)
      .writeThrough(volume, POOL, leg.exportName, (value % SLOTS) * BLOCK_BYTES, bytes)
    if (written.ok) this.#options.onWritten(client, host, volume, leg.exportName)
    return written.ok
  }

  #watch(client: HostId, host: HostId, onChange: (health: LegHealth) => void): () => void {
    const { clock, network } = this.#options
    let told: LegHealth | undefined
    let isOver = false
    let silentMs = 0
    const look = () => {
      if (isOver) return
      // A frozen observer sees nothing, and begins anew when it wakes up.
      if (network.presence(client) !== 'on') silentMs = 0
      else {
        const reach = this.reach(client, host)
        silentMs = reach === 'silent' ? silentMs + WATCH_INTERVAL_MS : 0
        const health =
          reach === 'refuses'
            ? 'refused'
            : reach === 'answers'
              ? 'alive'
              : silentMs >= UNRESPONSIVE_MS
                ? 'unresponsive'
                : told
        if (health !== undefined && health !== told) onChange((told = health))
      }
      clock.after(WATCH_INTERVAL_MS, look)
    }
    clock.after(1, look)
    return () => (isOver = true)
  }
}

/** The number in each slot of a replica. */
export function numbersIn(content: Uint8Array | undefined): readonly number[] {
  if (!content) return []
  const view = new DataView(content.buffer, content.byteOffset)
  return Array.from({ length: SLOTS }, (_, slot) => view.getFloat64(slot * BLOCK_BYTES))
}

function highestNumber(content: Uint8Array | undefined): number {
  return Math.max(0, ...numbersIn(content))
}
