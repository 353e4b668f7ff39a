/**
 * Port: asks a guest of this host whether it is ready, from this host's own place in the network. It decides nothing:
 * how often, and what follows, is `GuestProbing`'s.
 */
import type { ProbeOutcome } from '../ha/readiness.ts'
import type { GuestId } from '../model/ids.ts'
import type { ProbeCheck } from '../model/probe.ts'

export interface GuestProbe {
  /** One try. Never takes noticeably longer than the timeout. */
  attempt(guest: GuestId, check: ProbeCheck, timeoutMs: number): Promise<ProbeOutcome>
  /** The guest has booted anew within its run: what its console said until now no longer counts. */
  hasRebooted(guest: GuestId): void
  /** The run has ended. */
  forget(guest: GuestId): void
}
