/**
 * Port: is the server behind a leg alive? A hung server gives no error by itself, so it is asked all the time, over
 * the same path that the leg uses.
 */
import type { Leg } from './guest-host.ts'

export type LegHealth = 'alive' | 'unresponsive' | 'refused'

export interface LegWatch {
  /** Calls back on each change, and soon with the first answer. Returns the end of the watch. */
  watch(endpoint: Leg['endpoint'], onChange: (health: LegHealth) => void): () => void
  /** Asks once, over a connection of its own. Silence for `limitMs` is `unresponsive`. */
  ask(endpoint: Leg['endpoint'], limitMs: number): Promise<LegHealth>
}
