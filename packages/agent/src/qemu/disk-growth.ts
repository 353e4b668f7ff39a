/**
 * Gives a running guest's disk another size. A quorum keeps its size for life, and a server does not change the size of
 * what it serves, so the disk needs new legs and another quorum. In between it stands on a gate: a small node that fails
 * all reads and writes. A guest that is let go on too early, by an agent that knows nothing of this, therefore stops at
 * once, and nothing is ever written to one replica alone.
 *
 *   top -> quorum -> old legs       top -> gate -> an empty file       top -> quorum -> new legs
 *
 * The gate's file is there only because a node can be resized, which tells the guest, where what lies under it can.
 * `held` in the launch record says that the disk may stand there.
 */
import { chownSync, closeSync, openSync, rmSync, truncateSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import type { GuestDisk } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import {
  diskBlockdevs,
  gateBlockdev,
  gateNode,
  legNode,
  nodesOf,
  topBlockdev,
  topNode,
  type DiskRecord,
  type QemuBlockGraph,
} from './block-graph.ts'
import type { LegKeys } from './leg-keys.ts'
import { closeNode, openNode, queryGraph, yankNode, type Monitor } from './mirror-surgery.ts'

/** The disk is being flushed first, as `drainAndFlushDisk` does it. */
const HOLD_TIMEOUT_MS = 30_000

export interface Growing {
  readonly monitor: Monitor
  /** Puts the disk into the launch record. */
  readonly save: (disk: DiskRecord) => Result<void>
  readonly keys: LegKeys
  /** Where the gate's file may lie: QEMU's own folder. */
  readonly runFolder: string
  readonly user?: { readonly uid: number; readonly gid: number }
}

/**
 * Flushes the disk, moves it onto its gate and closes its legs. The guest must be paused. After a failure (a leg cannot
 * be flushed) the disk is as it was.
 */
export async function holdDisk(growing: Growing, disk: DiskRecord): Promise<Result<void>> {
  const { monitor, save } = growing
  const settled = await settleHold(growing, disk)
  if (!settled.ok || settled.value.held) return settled.ok ? ok() : settled
  const path = gatePath(growing, disk)
  makeGateFile(path, disk.sizeBytes, growing.user)
  const added = await monitor.execute('blockdev-add', gateBlockdev(disk.index, path))
  if (!added.ok) return added
  const noted = save({ ...disk, held: true })
  if (!noted.ok) return noted
  const moved = await reopenTop(monitor, disk, gateNode(disk.index))
  if (!moved.ok) {
    await settleHold(growing, { ...disk, held: true })
    return moved
  }
  const cleared = await closeAllBut(monitor, disk, [topNode(disk.index), gateNode(disk.index)])
  return cleared.ok ? save({ ...disk, held: true, legs: [] }) : cleared
}

/** Of a disk that is held. `grown`: the same disk with its new size and legs, whose servers have been probed. */
export async function growDisk(growing: Growing, disk: DiskRecord, grown: GuestDisk): Promise<Result<void>> {
  const { monitor, save } = growing
  if (!disk.held) return fail(failure('conflict', 'A disk that is in use does not change its size'))
  const kept = [topNode(disk.index), gateNode(disk.index)]
  const cleared = await closeAllBut(monitor, disk, kept)
  if (!cleared.ok) return cleared
  const legs = grown.legs.map((leg, order) => ({ node: legNode(disk.index, disk.nextLeg + order), leg }))
  // Recorded before they exist: after a crash their numbers are spent.
  const next: DiskRecord = { ...disk, sizeBytes: grown.sizeBytes, legs, nextLeg: disk.nextLeg + legs.length }
  const saved = save(next)
  if (!saved.ok) return saved
  for (const { node, leg } of legs) {
    const opened = await openNode(monitor, growing.keys, next, { node, leg })
    if (!opened.ok) return opened
  }
  const told = await monitor.execute('block_resize', { 'node-name': topNode(disk.index), size: grown.sizeBytes })
  if (!told.ok) return told
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  for (const blockdev of diskBlockdevs(next)) {
    if (graph.value.nodes.some(({ name }) => name === blockdev['node-name'])) continue
    const added = await monitor.execute('blockdev-add', blockdev)
    if (!added.ok) return added
  }
  const moved = await reopenTop(monitor, next, String(topBlockdev(next)['file']))
  if (!moved.ok) return moved
  const settled = await settleHold(growing, next)
  return settled.ok ? ok() : settled
}

/** Makes record and graph agree about whether the disk is held: what it stands on decides. Returns the disk. */
export async function settleHold(growing: Growing, disk: DiskRecord): Promise<Result<DiskRecord>> {
  if (!disk.held) return ok(disk)
  const { monitor, save } = growing
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  const gate = gateNode(disk.index)
  if (childrenOf(graph.value, topNode(disk.index)).includes(gate)) return ok(disk)
  if (graph.value.nodes.some(({ name }) => name === gate)) {
    const closed = await closeNode(monitor, gate)
    if (!closed.ok) return closed
  }
  rmSync(gatePath(growing, disk), { force: true })
  const { held: _held, ...free } = disk
  const saved = save(free)
  return saved.ok ? ok(free) : saved
}

async function closeAllBut(monitor: Monitor, disk: DiskRecord, kept: readonly string[]): Promise<Result<void>> {
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  for (const node of nodesOf(graph.value, disk).filter((name) => !kept.includes(name))) {
    // A leg whose server hangs would be waited for, by all of QEMU.
    await yankNode(monitor, node)
    const closed = await closeNode(monitor, node)
    if (!closed.ok) return closed
  }
  return ok()
}

async function reopenTop(monitor: Monitor, disk: DiskRecord, file: string): Promise<Result<void>> {
  const options = [{ driver: 'raw', 'node-name': topNode(disk.index), file }]
  const reopened = await monitor.execute('blockdev-reopen', { options }, HOLD_TIMEOUT_MS)
  return reopened.ok ? ok() : reopened
}

/** As large as the disk, and empty: it takes no room. */
function makeGateFile(path: string, sizeBytes: number, user: Growing['user']): void {
  closeSync(openSync(path, 'w', 0o600))
  truncateSync(path, sizeBytes)
  if (user) chownSync(path, user.uid, user.gid)
}

function gatePath({ runFolder }: Growing, disk: DiskRecord): string {
  return `${runFolder}/${gateNode(disk.index)}`
}

function childrenOf(graph: QemuBlockGraph, parent: string): readonly string[] {
  const names = new Map(graph.nodes.map((node) => [node.id, node.name]))
  return graph.edges.filter((edge) => names.get(edge.parent) === parent).map((edge) => names.get(edge.child) ?? '')
}
