/**
 * Changes of a mirrored disk's graph in a living QEMU, by QMP. What each step may do and in which order was found
 * by trial on QEMU 7.2 and 10.0: docs/internals/mirror.md. All functions can be repeated: they look at
 * the graph and do only what is still missing, so that an agent that crashed half-way is healed by doing it again.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import {
  childrenOf,
  fillerBlockdev,
  isFiller,
  legBlockdev,
  newFillerName,
  quorumNode,
  spareFillers,
  topBlockdev,
  type DiskRecord,
  type OpenLeg,
  type QemuBlockGraph,
  type QuorumChild,
} from './block-graph.ts'
import type { LegKeys } from './leg-keys.ts'

/** What surgery needs of a monitor; `QmpClient` has it. */
export interface Monitor {
  execute<T = unknown>(command: string, args?: object, timeoutMs?: number): Promise<Result<T>>
  executeOutOfBand<T = unknown>(command: string, args?: object, timeoutMs?: number): Promise<Result<T>>
}

/** Longest wait for a drain and flush: a replica on a slow disk may have much to write. */
const FLUSH_TIMEOUT_MS = 30_000

export function queryGraph(monitor: Monitor): Promise<Result<QemuBlockGraph>> {
  return monitor.execute<QemuBlockGraph>('x-debug-query-block-graph')
}

/** Fails every request in flight on the node. Answered even while the main loop waits for that very node. */
export async function yankNode(monitor: Monitor, node: string): Promise<Result<void>> {
  const reply = await monitor.executeOutOfBand('yank', { instances: [{ type: 'block-node', 'node-name': node }] })
  return reply.ok ? ok() : reply
}

/** Removes a leg from the disk, putting a filler in its place, and closes it. The guest must not run. */
export async function dropNode(monitor: Monitor, disk: DiskRecord, node: string): Promise<Result<void>> {
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  const children = childrenOf(graph.value, disk)
  const child = children.find((each) => each.node === node)
  if (child) {
    if (!children.some((each) => each.node !== node && !isFiller(each.node))) {
      return fail(
        failure('conflict', 'The last leg of a disk cannot be dropped', {
          hint: 'The guest stays paused until a current replica can be reached',
        }),
      )
    }
    // One filler more than needed means that an earlier attempt stopped after adding it.
    if (children.length <= disk.width) {
      const filler = await readyFiller(monitor, graph.value, disk)
      if (!filler.ok) return filler
      const added = await addChild(monitor, disk, filler.value)
      if (!added.ok) return added
    }
    const removed = await removeChild(monitor, disk, child.childName)
    if (!removed.ok) return removed
  }
  return graph.value.nodes.some((each) => each.name === node) ? closeNode(monitor, node) : ok()
}

/** Opens a leg beside the graph. The caller has probed the server. Its size must be the disk's. */
export async function openNode(
  monitor: Monitor,
  keys: LegKeys,
  disk: DiskRecord,
  { node, leg }: OpenLeg,
): Promise<Result<void>> {
  const added = await keys.whileThere(monitor, [{ node, leg }], async () => {
    const reply = await monitor.execute('blockdev-add', legBlockdev(node, leg))
    return reply.ok ? ok() : reply
  })
  if (!added.ok) return added
  const nodes = await monitor.execute<readonly NamedNode[]>('query-named-block-nodes', { flat: true })
  if (!nodes.ok) return nodes
  const sizeBytes = nodes.value.find((each) => each['node-name'] === node)?.image['virtual-size']
  if (sizeBytes === disk.sizeBytes) return ok()
  await closeNode(monitor, node)
  return fail(
    failure('storage', `${leg.exportName} on ${leg.host} has ${sizeBytes} bytes instead of ${disk.sizeBytes}`),
  )
}

interface NamedNode {
  readonly 'node-name': string
  readonly image: { readonly 'virtual-size': number }
}

export async function closeNode(monitor: Monitor, node: string): Promise<Result<void>> {
  const closed = await monitor.execute('blockdev-del', { 'node-name': node })
  return closed.ok ? ok() : closed
}

/**
 * Makes a prepared leg part of the disk in a filler's place. The guest must not run. With `first` it becomes the
 * leg that answers reads (it is the local one); without, it stands behind the other legs but before any filler.
 */
export async function attachNode(
  monitor: Monitor,
  disk: DiskRecord,
  node: string,
  first: boolean,
): Promise<Result<void>> {
  if (disk.width === 1) return fail(failure('conflict', 'A disk with one replica has no place for another leg'))
  const before = await queryGraph(monitor)
  if (!before.ok) return before
  const children = childrenOf(before.value, disk)
  if (!children.some((child) => child.node === node)) {
    if (!children.some((child) => isFiller(child.node)))
      return fail(failure('conflict', 'All legs of the disk are attached'))
    const added = await addChild(monitor, disk, node)
    if (!added.ok) return added
  } else if (children.length <= disk.width) return ok()
  // QEMU only appends. Every child that must come later is taken out and appended again; the quorum never falls
  // below its width in between, because the filler that goes last is the one too many.
  const others = children.filter((child) => child.node !== node)
  const [surplus, ...fillersAfter] = others.filter((child) => isFiller(child.node))
  for (const child of [...(first ? others.filter((each) => !isFiller(each.node)) : []), ...fillersAfter]) {
    const moved = await moveLast(monitor, disk, child)
    if (!moved.ok) return moved
  }
  return surplus ? removeChild(monitor, disk, surplus.childName) : ok()
}

/**
 * Makes an opened node part of the disk in the place of those nodes, which are closed. The guest must not run. While
 * both are children the quorum has one more than it needs; the old ones fail every request, so that nothing counts
 * twice. The order of reading changes: the new leg stands behind the other ones, but before any filler.
 */
export async function replaceNodes(
  monitor: Monitor,
  disk: DiskRecord,
  old: readonly string[],
  node: string,
): Promise<Result<void>> {
  if (disk.width === 1) return fail(failure('conflict', 'A disk with one replica has no place for another leg'))
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  const children = childrenOf(graph.value, disk)
  const added = await addChild(monitor, disk, node)
  if (!added.ok) return added
  for (const child of children.filter((each) => old.includes(each.node))) {
    const removed = await removeChild(monitor, disk, child.childName)
    if (!removed.ok) return removed
  }
  for (const name of old.filter((each) => graph.value.nodes.some((known) => known.name === each))) {
    const closed = await closeNode(monitor, name)
    if (!closed.ok) return closed
  }
  for (const filler of children.filter((child) => isFiller(child.node))) {
    const moved = await moveFillerLast(monitor, disk, filler)
    if (!moved.ok) return moved
  }
  return ok()
}

/** Another filler is appended before this one goes, so that the quorum never falls below its width. */
async function moveFillerLast(monitor: Monitor, disk: DiskRecord, filler: QuorumChild): Promise<Result<void>> {
  const graph = await queryGraph(monitor)
  if (!graph.ok) return graph
  const spare = await readyFiller(monitor, graph.value, disk)
  if (!spare.ok) return spare
  const added = await addChild(monitor, disk, spare.value)
  return added.ok ? removeChild(monitor, disk, filler.childName) : added
}

/** Between its two steps the child gets no writes: the guest is stopped, and a failure must not end in a resume. */
async function moveLast(monitor: Monitor, disk: DiskRecord, child: QuorumChild): Promise<Result<void>> {
  const removed = await removeChild(monitor, disk, child.childName)
  return removed.ok ? addChild(monitor, disk, child.node) : removed
}

/**
 * Waits for every request in flight and flushes all legs. Done by reopening the top node with the options it has:
 * QEMU drains the graph, flushes it and reports a flush that failed. (`qemu-io ... flush` by the human monitor
 * flushes too but says nothing when it fails.) Works while the guest runs; it then waits a moment for its I/O.
 */
export async function drainAndFlushDisk(
  monitor: Monitor,
  disk: DiskRecord,
  timeoutMs = FLUSH_TIMEOUT_MS,
): Promise<Result<void>> {
  if (disk.held) return fail(failure('storage', `The disk ${disk.volume} has no legs now: it is between two sizes`))
  const flushed = await monitor.execute('blockdev-reopen', { options: [await topOptions(monitor, disk)] }, timeoutMs)
  if (flushed.ok) return ok()
  return fail(
    failure('storage', `The disk ${disk.volume} could not be flushed: ${flushed.error.message}`, {
      cause: flushed.error,
    }),
  )
}

/** The leg of an unmirrored disk is named by the graph, since `topBlockdev` describes the disk as it was launched. */
async function topOptions(monitor: Monitor, disk: DiskRecord): Promise<Record<string, unknown>> {
  if (disk.width > 1) return topBlockdev(disk)
  const graph = await queryGraph(monitor)
  const child = graph.ok ? childrenOf(graph.value, disk)[0] : undefined
  return child ? { ...topBlockdev(disk), file: child.node } : topBlockdev(disk)
}

async function readyFiller(monitor: Monitor, graph: QemuBlockGraph, disk: DiskRecord): Promise<Result<string>> {
  const spare = spareFillers(graph, disk)[0]
  if (spare) {
    // In a guest that came over live, what is not part of a disk's graph is still inactive (QEMU 10), and could not join it.
    await monitor.execute('blockdev-set-active', { 'node-name': spare, active: true })
    return ok(spare)
  }
  const node = newFillerName(graph, disk)
  const added = await monitor.execute('blockdev-add', fillerBlockdev(node, disk.sizeBytes))
  return added.ok ? ok(node) : added
}

async function addChild(monitor: Monitor, disk: DiskRecord, node: string): Promise<Result<void>> {
  const reply = await monitor.execute('x-blockdev-change', { parent: quorumNode(disk.index), node })
  return reply.ok ? ok() : reply
}

async function removeChild(monitor: Monitor, disk: DiskRecord, child: string): Promise<Result<void>> {
  const reply = await monitor.execute('x-blockdev-change', { parent: quorumNode(disk.index), child })
  return reply.ok ? ok() : reply
}
