/** The block nodes of one disk, made and removed in a QEMU that runs. */
import { ok, type Result } from '@stead/core/result.ts'
import { diskBlockdevs, nodesOf, type DiskRecord } from './block-graph.ts'
import type { LegKeys } from './leg-keys.ts'
import { queryGraph, yankNode } from './mirror-surgery.ts'
import type { QmpClient } from './qmp.ts'

export function addDiskNodes(monitor: QmpClient, keys: LegKeys, disk: DiskRecord): Promise<Result<void>> {
  return keys.whileThere(monitor, disk.legs, async () => {
    for (const blockdev of diskBlockdevs(disk)) {
      const added = await monitor.execute('blockdev-add', blockdev)
      if (!added.ok) return added
    }
    return ok()
  })
}

/** From the top down; a node that is not there is fine. */
export async function removeDiskNodes(monitor: QmpClient, disk: DiskRecord): Promise<Result<void>> {
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  for (const node of nodesOf(graph.value, disk)) {
    // A leg whose server hangs would be waited for, by all of QEMU.
    if (disk.legs.some((leg) => leg.node === node)) await yankNode(monitor, node)
    const removed = await monitor.execute('blockdev-del', { 'node-name': node })
    if (!removed.ok) return removed
  }
  return ok()
}
