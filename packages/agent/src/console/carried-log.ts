/** A guest that came over live brings along what its console has said since it booted. */
import { appendFile } from 'node:fs/promises'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Peers } from '../peers.ts'

const CARRY_MS_MAX = 10_000

/**
 * Fetches the whole log from the host on which the guest stands still at the switch: nothing is added to it any more, and
 * the hypervisor here, which appends to the same file, has not begun.
 */
export async function carryConsoleLog(
  { peers, logPath, log }: { readonly peers: Peers; readonly logPath: (guest: GuestId) => string; readonly log: Log },
  guest: GuestId,
  from: HostId,
): Promise<void> {
  const input = { guest, offset: 0, follow: false }
  const stream = await peers.client(from).stream('console', input, AbortSignal.timeout(CARRY_MS_MAX))
  if (!stream.ok) return log.warn('the earlier console log stays behind', { guest, from, cause: stream.error })
  try {
    const parts: Buffer[] = []
    for await (const part of stream.value as AsyncIterable<Buffer>) parts.push(part)
    // In one write: a reader never sees half of it behind what is newer.
    await appendFile(logPath(guest), Buffer.concat(parts))
  } catch (cause) {
    log.warn('the earlier console log stays behind', { guest, from, cause })
  }
}
