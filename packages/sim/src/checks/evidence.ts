/** What the checkers of a world may look at: the records as the store holds them, and the truth behind them. */
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Process } from '../memory-machine.ts'

export interface Evidence {
  readonly clock: Clock
  readonly hostIds: readonly HostId[]
  /** The record as it stands in the store, read without delay. */
  readonly record: <T>(key: string) => T | undefined
  /** The number in each block of a replica; empty when there is none. */
  readonly numbersOn: (host: HostId, volume: VolumeId) => readonly number[]
  /** What a loss of power would leave, in the worst case. */
  readonly flushedNumbersOn: (host: HostId, volume: VolumeId) => readonly number[]
  readonly processesOn: (host: HostId) => Iterable<Process>
  /** Hosts that have what they were told to keep and can be asked for it, whatever was killed on them. */
  readonly keepingHosts: () => ReadonlySet<HostId>
  /** Tells of a broken promise, in one sentence. */
  readonly violate: (sentence: string) => void
}
