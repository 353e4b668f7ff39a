/** What feeds the hosts, as their agents reach it. It stands outside of all of them. */
import type { HostId } from '../model/ids.ts'
import type { Result } from '../result.ts'

export interface PowerSwitch {
  /**
   * The order is taken; the power goes a moment later, so that a host which orders its own end can still answer. `conflict`: it
   * has no power. `not_found`: nothing here feeds it.
   */
  cut(host: HostId): Promise<Result<void>>
  /** The host boots with what it had on its disks. `conflict`: it has power. */
  restore(host: HostId): Promise<Result<void>>
}
