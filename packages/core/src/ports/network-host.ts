/** Port: the guests' network on one host. */
import type { GuestId } from '../model/ids.ts'
import type { NicLimits } from '../model/hardware.ts'
import type { Nic } from '../model/guest.ts'
import type { Result } from '../result.ts'

/** What a network card may say it is. */
export interface NicIdentity {
  readonly mac: string
  /** IPv4 and IPv6, with or without `/LENGTH`; absent or empty: not known, so that only the MAC is held to. */
  readonly addresses?: readonly string[]
}

/** And how much. */
export interface NicPace {
  /** What is more is dropped and counted; absent: no limit. */
  readonly packetsPerSecond?: number
}

/** A port is the host's end of a guest's network card: a VM's tap, or a container's veth. */
export interface NetworkHost {
  /** Name of the guest's port on the bridge: its tap, or the host's end of a container's veth pair. */
  portName(guest: GuestId, index: number): string
  /**
   * A tap device on the role's bridge, owned by the user that QEMU runs as. Returns its name. It lets nothing through but
   * what the card may send. `arriving`: the guest still runs on another host, and is reached there until it speaks here.
   */
  ensureTap(
    guest: GuestId,
    index: number,
    nic: Nic & NicPace,
    options?: { readonly arriving?: boolean },
  ): Promise<Result<string>>
  /** Absent: harmless. */
  removeTap(guest: GuestId, index: number): Promise<Result<void>>
  /** Live; an empty object lifts all limits. The port exists. */
  limitTap(guest: GuestId, index: number, limits: NicLimits): Promise<Result<void>>
  /**
   * The guest is here: its port sends nothing under another's hardware or network address, and hears nothing that is
   * meant for others. Compares and repairs, so it may be called again, also when the card's addresses change; before
   * the port exists, what it may send is decided already. Ends with `removeTap`.
   */
  isolate(guest: GuestId, index: number, identity: NicIdentity & NicPace): Promise<Result<void>>
  removeTaps(guest: GuestId): Promise<Result<void>>
}
