/** What an agent that died in the middle of a reading has left in a storage daemon, which lives on. */
import { ok, type Result } from '@stead/core/result.ts'
import type { StorageDaemon } from './storage-daemon.ts'
import { SNAPSHOT_PREFIX } from './volume-bitmaps.ts'

/** Removes reading exports and bitmap copies that an agent left behind when it died. */
export async function cleanAfterDeadAgent(daemon: StorageDaemon): Promise<Result<void>> {
  const exports = await daemon.call<readonly { readonly id: string }[]>('query-block-exports')
  if (!exports.ok) return exports
  for (const { id } of exports.value) {
    if (!/^vol-.+-read-[0-9a-f]{12}$/.test(id)) continue
    const ended = await daemon.endExport(id)
    if (!ended.ok) return ended
  }
  const nodes = await daemon.nodes.now()
  if (!nodes.ok) return nodes
  for (const [node, { bitmaps }] of nodes.value) {
    for (const { name } of bitmaps) {
      if (!name.startsWith(SNAPSHOT_PREFIX)) continue
      const removed = await daemon.call('block-dirty-bitmap-remove', { node, name })
      if (!removed.ok) return removed
    }
  }
  return ok()
}
