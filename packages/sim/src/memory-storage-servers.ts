/** The storage servers of a simulated cluster, as guests' disks see them. */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface MemoryConnection {
  readonly leg: Leg
  broken: boolean
  attached: boolean
}

/** The storage servers that legs lead to, by host. Shared by all machines of a simulated cluster. */
export class MemoryStorageServers {
  readonly #states = new Map<string, 'up' | 'frozen' | 'down'>()
  readonly #connections = new Set<MemoryConnection>()
  readonly #listeners = new Set<() => void>()
  /** `host/volume` -> number of the last write that reached it. */
  readonly #content = new Map<string, number>()

  state(host: string): 'up' | 'frozen' | 'down' {
    return this.#states.get(host) ?? 'down'
  }

  /** A server that goes down breaks its connections for ever; a frozen one answers again when it is up. */
  set(host: string, state: 'up' | 'frozen' | 'down'): void {
    this.#states.set(host, state)
    if (state === 'down') for (const each of this.#connections) if (each.leg.host === host) each.broken = true
    this.#changed()
  }

  /** Hard-deletes an export: whoever uses it can write nothing more. */
  revoke(host: string, exportName: string): void {
    for (const each of this.#connections)
      if (each.leg.host === host && each.leg.exportName === exportName) each.broken = true
    this.#changed()
  }

  connect(leg: Leg): Result<MemoryConnection> {
    if (this.state(leg.host) !== 'up')
      return fail(failure('host_unreachable', `The replica on ${leg.host} does not answer`))
    const connection: MemoryConnection = { leg, broken: false, attached: false }
    this.#connections.add(connection)
    return ok(connection)
  }

  close(connection: MemoryConnection): void {
    this.#connections.delete(connection)
  }

  /** Number of the last write to the volume that this host's replica has; 0 for none. */
  lastWrite(host: string, volume: VolumeId): number {
    return this.#content.get(`${host}/${volume}`) ?? 0
  }

  write(connection: MemoryConnection, volume: VolumeId, value: number): void {
    this.#content.set(`${connection.leg.host}/${volume}`, value)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
