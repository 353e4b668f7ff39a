/** What a guest has asked of its disks, as its QEMU counts: requests as the guest made them, and how long each took. */
import type { DiskReading } from '@stead/core/ports/host-meters.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { topNode, type DiskRecord } from './block-graph.ts'
import type { QmpClient } from './qmp.ts'

/** `query-blockstats`, only what is used of it (qapi/block-core.json). */
interface BlockStatistics {
  readonly 'node-name'?: string
  readonly stats: {
    readonly rd_operations: number
    readonly wr_operations: number
    readonly rd_bytes: number
    readonly wr_bytes: number
    readonly rd_total_time_ns: number
    readonly wr_total_time_ns: number
  }
}

/** A QEMU that is stuck is left out rather than waited for. */
const ANSWER_MS = 1_000

export async function diskReadings(
  monitor: QmpClient,
  disks: readonly DiskRecord[],
): Promise<Result<readonly DiskReading[]>> {
  const answer = await monitor.execute<readonly BlockStatistics[]>('query-blockstats', {}, ANSWER_MS)
  if (!answer.ok) return answer
  return ok(
    disks.flatMap(({ volume, index }) => {
      const found = answer.value.find((each) => each['node-name'] === topNode(index))
      return found ? [{ volume, ...readingOf(found) }] : []
    }),
  )
}

function readingOf({ stats }: BlockStatistics): DiskReading {
  return {
    reads: stats.rd_operations,
    writes: stats.wr_operations,
    readBytes: stats.rd_bytes,
    writtenBytes: stats.wr_bytes,
    readMs: stats.rd_total_time_ns / 1e6,
    writeMs: stats.wr_total_time_ns / 1e6,
  }
}
