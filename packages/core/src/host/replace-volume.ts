/** A volume's record in place of the one that was seen. */
import type { Versioned } from '../model/cluster.ts'
import { KEYS } from '../model/keys.ts'
import type { Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'
import type { HostContext } from './host-context.ts'

/** Somebody else was first: this host's copy has what he wrote in a moment. */
const OVERTAKEN_MS = 20

export interface Replacement {
  /** What else is written, and compared, in the same transaction. */
  readonly besides?: readonly Write[]
  readonly compares?: readonly Compare[]
  /** How long to wait when the store cannot be asked. */
  readonly retryMs: number
}

/** False: it was not, and there has been a pause; look at the records anew. */
export async function replaceVolume(
  { store, clock }: Pick<HostContext, 'store' | 'clock'>,
  { value: { id }, revision }: Versioned<Volume>,
  next: Volume,
  { besides = [], compares = [], retryMs }: Replacement,
): Promise<boolean> {
  const outcome = await store.transact({
    compares: [{ key: KEYS.volume(id), modRevision: revision }, ...compares],
    writes: [{ kind: 'put', key: KEYS.volume(id), value: JSON.stringify(next) }, ...besides],
  })
  if (outcome.ok && outcome.value.committed) return true
  await clock.sleep(outcome.ok ? OVERTAKEN_MS : retryMs)
  return false
}
