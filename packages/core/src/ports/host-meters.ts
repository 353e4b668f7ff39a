/** Port: what the counters of this host, of its pools and of its guests stand at. */
import type { GuestId, VolumeId } from '../model/ids.ts'

/** They only grow, until they begin anew: with the machine, with the guest's run, with a device. */
export interface StorageCounters {
  readonly reads: number
  readonly writes: number
  readonly readBytes: number
  readonly writtenBytes: number
  /** How long all these requests took together; absent where nobody measures it. */
  readonly readMs?: number
  readonly writeMs?: number
}

interface MachineReading {
  /** Processor time that was used, of all processors together. */
  readonly cpuMs: number
  readonly memoryBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export type HostReading = MachineReading

export interface PoolReading {
  /** What it lies on; pools with the same share its counters. */
  readonly device: string
  readonly storage?: StorageCounters
  /** For how long it had at least one request to serve. */
  readonly busyMs?: number
  readonly usedBytes: number
}

export interface DiskReading extends StorageCounters {
  /** Absent: of all its disks together. */
  readonly volume?: VolumeId
}

export interface GuestReading extends MachineReading {
  /** Another one has counters that began anew. */
  readonly run: string
  readonly disks: readonly DiskReading[]
}

export interface MeterReadings {
  /** The host's monotonic clock. */
  readonly atMs: number
  readonly host: HostReading
  readonly pools: ReadonlyMap<string, PoolReading>
  /** Of all guests that run here; one that just begins or ends may be missing. */
  readonly guests: ReadonlyMap<GuestId, GuestReading>
}

export interface HostMeters {
  /** Never waits long for a guest or a disk that hangs: what does not answer is left out. */
  read(): Promise<MeterReadings>
}
