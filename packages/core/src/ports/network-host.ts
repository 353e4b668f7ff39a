/** Port: the guests' network on one host. */
import type { GuestId } from '../model/ids.ts'
import type { Nic } from '../model/guest.ts'
import type { Result } from '../result.ts'

export interface NetworkHost {
  /** A tap device on the role's bridge, owned by the user that QEMU runs as. Returns its name. */
  ensureTap(guest: GuestId, index: number, nic: Nic): Promise<Result<string>>
  removeTaps(guest: GuestId): Promise<Result<void>>
}
