import type { Guest } from '../model/guest.ts'
import type { GuestId } from '../model/ids.ts'

/** A guest without disks of its own: what is asked is where it would run, not where its data would be. */
export function supposedGuest(
  name: string,
  {
    memoryBytes,
    cpus,
    priority = 0,
  }: { readonly memoryBytes: number; readonly cpus: number; readonly priority?: number },
): Guest {
  return {
    id: `supposed-${name}` as GuestId,
    name,
    kind: 'vm',
    memoryBytes,
    cpus,
    boot: { kind: 'disk' },
    volumes: [],
    nics: [],
    ha: 'started',
    desired: 'running',
    forceStop: false,
    priority,
    deleting: false,
    createdAt: Number.MAX_SAFE_INTEGER,
  }
}
