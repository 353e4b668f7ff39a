/** What a network between hosts should be like; the set-up of a host and the page of the networks judge by the same. */
import type { NetworkRole } from './host.ts'

/** There and back. Every write of a mirrored disk waits for one way and back on SAN or RAN. */
export const LATENCY_MS_MAX: Readonly<Record<NetworkRole, number>> = { lan: 5, san: 1, ran: 1 }
