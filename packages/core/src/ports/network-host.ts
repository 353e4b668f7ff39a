/** Port: the guests' network on one host. */
import type { GuestId } from '../model/ids.ts'
import type { NicLimits } from '../model/hardware.ts'
import type { Nic } from '../model/guest.ts'
import type { Result } from '../result.ts'

export interface NetworkHost {
  /** Name of the guest's port on the bridge: its tap, or the host's end of a container's veth pair. */
  portName(guest: GuestId, index: number): string
  /** A tap device on the role's bridge, owned by the user that QEMU runs as. Returns its name. */
  ensureTap(guest: GuestId, index: number, nic: Nic): Promise<Result<string>>
  /** Absent: harmless. */
  removeTap(guest: GuestId, index: number): Promise<Result<void>>
  /** Live; an empty object lifts all limits. The tap exists. */
  limitTap(guest: GuestId, index: number, limits: NicLimits): Promise<Result<void>>
  removeTaps(guest: GuestId): Promise<Result<void>>
}
