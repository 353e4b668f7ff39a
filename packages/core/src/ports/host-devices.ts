/** Port: devices of this host that are given to guests, and the layout of its processors and memory. */
import type { GuestId } from '../model/ids.ts'
import type { DeviceKind } from '../model/host-shares.ts'
import type { Result } from '../result.ts'

/** One device as the hypervisor is to open it. */
export interface ClaimedDevice {
  readonly class: string
  readonly kind: DeviceKind
  /** Below `/sys`: `bus/pci/devices/0000:3b:00.4` or `bus/mdev/devices/<uuid>`. */
  readonly path: string
}

export interface HostDevices {
  /**
   * Devices of these classes for a guest that is about to start, made ready for its hypervisor. What a running guest
   * holds is not given again; the guest's own of an earlier run may be. Fails with `no_capacity`.
   */
  claim(guest: GuestId, classes: Readonly<Record<string, number>>): Promise<Result<readonly ClaimedDevice[]>>
  /** Processors of this host, one for each of so many virtual ones, which no other guest here has for itself. */
  claimCpus(guest: GuestId, count: number): Promise<Result<readonly number[]>>
  /** The start that was claimed for has ended: from now on the guest holds what it runs with, and nothing if it does not. */
  settle(guest: GuestId): void
  /** Numbers of the host's memory nodes; one of a host without NUMA. */
  memoryNodes(): Promise<readonly number[]>
}
