/** Storage servers without content: enough for a single machine's guests. The world's have real replicas behind them. */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { breakConnection, type LegConnection, type LegServers } from './leg-servers.ts'

export class MemoryStorageServers implements LegServers {
  readonly #states = new Map<string, 'up' | 'frozen' | 'down'>()
  readonly #connections = new Set<LegConnection>()
  readonly #listeners = new Set<() => void>()
  /** `host/volume` -> number of the last write that reached it. */
  readonly #content = new Map<string, number>()
  /** Requests that a frozen server will execute when it wakes up. */
  readonly #held: { readonly host: string; readonly execute: () => void }[] = []

  /** A server that goes down breaks its connections for ever; a frozen one answers again when it is up. */
  set(host: string, state: 'up' | 'frozen' | 'down'): void {
    this.#states.set(host, state)
    if (state === 'down') for (const each of this.#connections) if (each.leg.host === host) breakConnection(each)
    if (state === 'up') for (const held of this.#held.splice(0)) if (held.host === host) held.execute()
    for (const listener of [...this.#listeners]) listener()
  }

  /** Nobody gets through it any more. */
  endExport(exportName: string): void {
    for (const each of this.#connections) if (each.leg.exportName === exportName) breakConnection(each)
    for (const listener of [...this.#listeners]) listener()
  }

  connect(leg: Leg, volume: VolumeId): Result<LegConnection> {
    if (this.#state(leg.host) !== 'up')
      return fail(failure('host_unreachable', `The replica on ${leg.host} does not answer`))
    const connection: LegConnection = { leg, volume, broken: false, attached: false, inFlight: new Set() }
    this.#connections.add(connection)
    return ok(connection)
  }

  close(connection: LegConnection): void {
    this.#connections.delete(connection)
    breakConnection(connection)
  }

  write(connection: LegConnection, value: number, onEnd: (done: boolean) => void): void {
    if (connection.broken) return onEnd(false)
    const end = (done: boolean) => {
      if (connection.inFlight.delete(end)) onEnd(done)
    }
    connection.inFlight.add(end)
    const execute = () => {
      this.#content.set(`${connection.leg.host}/${connection.volume}`, value)
      end(true)
    }
    if (this.#state(connection.leg.host) === 'up') execute()
    else this.#held.push({ host: connection.leg.host, execute })
  }

  flush(connection: LegConnection, onEnd: (done: boolean) => void): void {
    onEnd(!connection.broken && this.#state(connection.leg.host) === 'up')
  }

  lastWrite({ leg, volume }: LegConnection): number {
    return this.lastWriteOn(leg.host, volume)
  }

  lastWriteOn(host: string, volume: VolumeId): number {
    return this.#content.get(`${host}/${volume}`) ?? 0
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #state(host: string): 'up' | 'frozen' | 'down' {
    return this.#states.get(host) ?? 'down'
  }
}
