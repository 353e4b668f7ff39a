/**
 * What an agent that was killed while it received a root has left of it, where the volume was deleted at the same time: its
 * removal was done before. Looked for once, when the next agent has begun.
 */
import { KEYS } from '../model/keys.ts'
import type { UnfinishedCopy } from '../ports/root-copies.ts'
import { ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

const RETRY_MS = 5_000
/** What cannot be deleted now is not asked about all the time. */
const RETRY_MS_MAX = 600_000

export async function sweepRootCopies(context: HostContext, signal: AbortSignal): Promise<void> {
  const { ownRoots, store, clock, log } = context
  // As the store has it: this host's copy of the records may be behind.
  const sweep = async (left: UnfinishedCopy): Promise<Result<void>> => {
    const record = await store.get(KEYS.volume(left.volume))
    if (!record.ok) return record
    return record.value === undefined ? ownRoots.dropUnfinished(left) : ok()
  }
  for (let pauseMs = RETRY_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX)) {
    const swept = await Promise.all(ownRoots.unfinished().map(sweep))
    const failed = swept.find((each) => !each.ok)
    if (!failed || failed.ok) return
    log.warn('what was left of copies of native roots stays for now', { cause: failed.error })
    await clock.sleep(pauseMs, signal)
  }
}
