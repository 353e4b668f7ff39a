/** What a simulated guest's disk needs of the servers behind its legs. */
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import type { Result } from '@stead/core/result.ts'

export interface LegConnection {
  readonly leg: Leg
  readonly volume: VolumeId
  broken: boolean
  attached: boolean
  /** The ends of requests that have not been answered yet. */
  readonly inFlight: Set<(done: boolean) => void>
}

export interface LegServers {
  connect(leg: Leg, volume: VolumeId): Result<LegConnection>
  close(connection: LegConnection): void
  /** Calls back once, with false when it failed or the connection broke; not at all while the server is silent. */
  write(connection: LegConnection, value: number, onEnd: (done: boolean) => void): void
  /** As `write`: all writes that were answered before last from then on. */
  flush(connection: LegConnection, onEnd: (done: boolean) => void): void
  /** The highest number that a read through the connection finds; 0 for none. */
  lastWrite(connection: LegConnection): number
  /** Something changed: guests that write may notice. */
  onChange(listener: () => void): () => void
}

/** No answer comes through it any more; what was in flight has failed. */
export function breakConnection(connection: LegConnection): void {
  connection.broken = true
  for (const end of [...connection.inFlight]) end(false)
  connection.inFlight.clear()
}
