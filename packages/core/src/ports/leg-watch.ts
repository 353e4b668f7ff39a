/**
 * Port: is the server behind a leg alive? A hung server gives no error by itself, so it is asked all the time, over
 * the same path that the leg uses.
 */
import type { Leg } from './guest-host.ts'

export type LegHealth = 'alive' | 'unresponsive' | 'refused'

export interface LegWatch {
  /**
   * Calls back on each change, and soon with the first answer. `alive` is told again when the server answers on a new
   * connection, the one before having broken: it may be another server. Returns the end of the watch.
   */
  watch(endpoint: Leg['endpoint'], onChange: (health: LegHealth) => void): () => void
  /** Asks once, over a connection of its own. Silence for `limitMs` is `unresponsive`. */
  ask(endpoint: Leg['endpoint'], limitMs: number): Promise<LegHealth>
}
