/** How everything that acts on the records comes to look at them: at each change, and now and then for what was put off. */
import type { ClusterState } from '../model/cluster.ts'
import type { HostContext } from './host-context.ts'

/** News wakes a look at once; this is for what was put off. */
const TICK_MS = 1_000

/**
 * Calls `look` with the records as they are now and as they become, until aborted. `atTick` is called less often, once a
 * second: for what falls due by the clock.
 */
export async function watchRecords(
  { mirror, clock }: Pick<HostContext, 'mirror' | 'clock'>,
  look: (state: ClusterState) => void,
  signal: AbortSignal,
  atTick?: (state: ClusterState) => void,
): Promise<void> {
  const off = mirror.onChange(look)
  while (!signal.aborted) {
    look(mirror.state)
    atTick?.(mirror.state)
    await clock.sleep(TICK_MS, signal)
  }
  off()
}
