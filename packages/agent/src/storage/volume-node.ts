/**
 * One volume inside a pool's storage daemon: its block node, dirty bitmaps and exports. Nothing is remembered here but
 * what this agent has opened itself; each other question goes to the daemon, so that a restarted agent sees what really is.
 *
 * Exports and bitmaps are on the topmost node, which stays when a snapshot puts a layer under it. It is a filter (a
 * throttle without limits), since QEMU's commit job must find the layers by looking through it.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { assert } from '@stead/core/assert.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { forgetKeptRuns } from './kept-runs.ts'
import { readStack } from './layer-files.ts'
import type { Layer } from './layer-stack.ts'
import type { QemuBlockGraph } from '../qemu/block-graph.ts'
import { NO_LIMIT, type StorageDaemon } from './storage-daemon.ts'
import { SNAPSHOT_PREFIX, VolumeBitmaps } from './volume-bitmaps.ts'

interface GraphNode {
  readonly name: string
  /** Another node uses it. */
  readonly hasParent: boolean
}

export interface VolumeExport {
  readonly name: string
  /** Absent: a reading export. */
  readonly epoch?: number
  readonly role: 'guest' | 'sync' | 'read'
}

export class VolumeNode {
  readonly #daemon: StorageDaemon
  readonly #volume: VolumeId
  readonly #path: string
  /** Node names have at most 31 characters: a UUID's first 30 digits are 120 bits. `#base`: of the raw file. */
  readonly topNode: string
  readonly #base: string
  readonly bitmaps: VolumeBitmaps

  constructor(daemon: StorageDaemon, volume: VolumeId, path: string) {
    this.#daemon = daemon
    this.#volume = volume
    this.#path = path
    this.topNode = `v${volume.slice(0, 30)}`
    this.#base = `f${volume.slice(0, 30)}`
    this.bitmaps = new VolumeBitmaps(daemon, this.topNode)
  }

  guestExport(epoch: number): string {
    return `vol-${this.#volume}-e${epoch}`
  }

  syncExport(epoch: number): string {
    return `${this.guestExport(epoch)}-sync`
  }

  async open(): Promise<Result<void>> {
    if (this.#daemon.opened.has(this.topNode)) return ok()
    const nodes = await this.#nodes()
    if (!nodes.ok) return nodes
    const isOpen = nodes.value.some(({ name }) => name === this.topNode)
    const opened = isOpen ? ok() : await this.#openFiles()
    if (opened.ok) this.#daemon.opened.add(this.topNode)
    return opened
  }

  async #openFiles(): Promise<Result<void>> {
    const stack = await readStack(this.#daemon.pool, this.#volume)
    if (!stack.ok) return stack
    let refusal: Result<void> | undefined
    // The first twice: what an agent that died half-way has left open is closed in between.
    for (const access of [FILE_ACCESS[0]!, ...FILE_ACCESS]) {
      const base = { driver: 'file', 'node-name': this.#base, filename: this.#path, locking: 'on', ...access }
      const isRaw = stack.value.length === 1
      const opened = isRaw ? await this.#addTop(base) : await this.#openLayers(stack.value, base, access)
      if (opened.ok) return opened
      refusal = opened
      const closed = await this.close()
      if (!closed.ok) return closed
    }
    return refusal ?? ok()
  }

  /** From the lowest up. `raw`: how to open the lowest where it is the replica's own raw file. */
  async #openLayers(stack: readonly Layer[], raw: object, access: FileAccess): Promise<Result<void>> {
    let below: string | null = null
    for (const [index, layer] of stack.entries()) {
      const opened: Result<void> =
        layer.format === 'raw'
          ? await this.#addNode({ ...raw, 'read-only': true })
          : await this.#addLayer(layer, below, index < stack.length - 1, access)
      if (!opened.ok) return opened
      below = this.layerNode(layer)
    }
    assert(below !== null, 'a replica has a layer')
    return this.#addTop(below)
  }

  /** Opens a layer's file beside the volume, of which it is not a part yet. */
  async openLayer(layer: Layer): Promise<Result<void>> {
    let opened: Result<void> = ok()
    for (const access of FILE_ACCESS) {
      opened = await this.#addLayer(layer, null, false, access)
      if (opened.ok) return opened
    }
    return opened
  }

  /** Puts an open layer on top of `below`, on which the volume stands now: it takes the writes from this moment on. */
  async putOnTop(layer: Layer, below: Layer): Promise<Result<void>> {
    const forgotten = await forgetKeptRuns(this.#daemon.pool, this.#volume)
    if (!forgotten.ok) return forgotten
    const put = await this.#daemon.call('blockdev-snapshot', {
      node: this.layerNode(below),
      overlay: this.layerNode(layer),
    })
    return put.ok ? ok() : put
  }

  /** Closes a layer that is no part of the volume. Not open: harmless. */
  async closeLayer(layer: Layer): Promise<Result<void>> {
    const state = await this.layerState(layer)
    if (!state.ok || state.value === 'absent') return state.ok ? ok() : state
    const closed = await this.#daemon.call('blockdev-del', { 'node-name': this.layerNode(layer) })
    return closed.ok ? ok() : closed
  }

  /** `beside`: open, and not (or no more) used by the volume. */
  async layerState(layer: Layer): Promise<Result<'absent' | 'beside' | 'used'>> {
    const nodes = await this.#nodes()
    if (!nodes.ok) return nodes
    const node = nodes.value.find(({ name }) => name === this.layerNode(layer))
    return ok(!node ? 'absent' : node.hasParent ? 'used' : 'beside')
  }

  #addLayer(layer: Layer, backing: string | null, isReadOnly: boolean, access: FileAccess): Promise<Result<void>> {
    const filename = join(this.#daemon.pool.path, layer.file)
    return this.#addNode({
      driver: layer.format,
      'node-name': this.layerNode(layer),
      'read-only': isReadOnly,
      backing,
      file: { driver: 'file', filename, locking: 'on', 'read-only': isReadOnly, ...access },
    })
  }

  layerNode(layer: Layer): string {
    if (layer.format === 'raw') return this.#base
    const name = /\.([0-9a-f]{12})\.qcow2$/.exec(layer.file)?.[1]
    assert(name !== undefined, `${layer.file} is no layer's name`)
    return `o${name}-${this.#volume.slice(0, 16)}`
  }

  #addTop(file: object | string): Promise<Result<void>> {
    return this.#addNode({ driver: 'throttle', 'node-name': this.topNode, 'throttle-group': NO_LIMIT, file })
  }

  async #addNode(options: object): Promise<Result<void>> {
    const added = await this.#daemon.call('blockdev-add', options)
    return added.ok ? ok() : added
  }

  /** Closes all files and forgets the bitmaps. All exports and jobs must be gone. */
  async close(): Promise<Result<void>> {
    this.#daemon.opened.delete(this.topNode)
    for (;;) {
      const nodes = await this.#nodes()
      if (!nodes.ok) return nodes
      // From the top down.
      const next = nodes.value.find((node) => !node.hasParent)
      if (!next) return ok()
      const closed = await this.#daemon.call('blockdev-del', { 'node-name': next.name })
      if (!closed.ok) return closed
    }
  }

  /** Larger only, and while nothing is exported: QEMU refuses it then. The bitmaps stay and become longer. */
  async resize(sizeBytes: number): Promise<Result<void>> {
    const exports = await this.exports()
    if (!exports.ok) return exports
    const ended = await this.deleteExports(exports.value.filter(({ role }) => role === 'read'))
    if (!ended.ok) return ended
    const resized = await this.#daemon.call('block_resize', { 'node-name': this.topNode, size: sizeBytes })
    return resized.ok ? ok() : resized
  }

  async exports(): Promise<Result<VolumeExport[]>> {
    const reply = await this.#daemon.call<readonly { readonly id: string }[]>('query-block-exports')
    return reply.ok ? ok(this.#ofThis(reply.value.map(({ id }) => id))) : reply
  }

  #ofThis(names: readonly string[]): VolumeExport[] {
    const prefix = `vol-${this.#volume}-`
    return names
      .filter((name) => name.startsWith(prefix))
      .map((name) => describeExport(name, name.slice(prefix.length)))
  }

  async addExport(
    name: string,
    how: { readonly writable: boolean; readonly bitmaps?: readonly string[]; readonly node?: string },
  ): Promise<Result<void>> {
    const added = await this.#daemon.call('block-export-add', {
      type: 'nbd',
      id: name,
      name,
      'node-name': how.node ?? this.topNode,
      writable: how.writable,
      ...(how.bitmaps ? { bitmaps: how.bitmaps } : {}),
    })
    if (!added.ok) return added
    this.#daemon.given.add(name)
    return ok()
  }

  /** Of those that this agent has given out itself; there may be others. */
  given(): VolumeExport[] {
    return this.#ofThis([...this.#daemon.given])
  }

  /** Hard-deletes these exports at once. Returns their names. */
  async deleteExports(which: readonly VolumeExport[]): Promise<Result<string[]>> {
    const ends = await Promise.all(which.map(({ name }) => this.#daemon.endExport(name)))
    for (const end of ends) if (!end.ok) return end
    return ok(which.map(({ name }) => name))
  }

  /**
   * Opens a read-only export, with a frozen copy of `bitmap` when one is named: the bitmap itself then stays free
   * for everybody, and may be recording. `context` is the name to ask block status for. With `layer`, of the volume as
   * that one and those below it show it.
   */
  async openForReading(
    bitmap?: string,
    layer?: Layer,
  ): Promise<Result<{ readonly exportName: string; readonly context?: string; readonly close: () => Promise<void> }>> {
    const mark = `${SNAPSHOT_PREFIX}${randomBytes(6).toString('hex')}`
    const exportName = `vol-${this.#volume}-${mark}`
    const copied = bitmap === undefined ? ok() : await this.bitmaps.copy(bitmap, mark)
    if (!copied.ok) return copied
    const close = async () => {
      // Both end with the daemon; a left-over one is cleaned away by the next agent that adopts it.
      await this.#daemon.endExport(exportName)
      if (bitmap !== undefined) await this.bitmaps.remove(mark)
    }
    const added = await this.addExport(exportName, {
      writable: false,
      ...(layer ? { node: this.layerNode(layer) } : {}),
      ...(bitmap === undefined ? {} : { bitmaps: [mark] }),
    })
    if (!added.ok) {
      await close()
      return added
    }
    return ok({ exportName, close, ...(bitmap === undefined ? {} : { context: `qemu:dirty-bitmap:${mark}` }) })
  }

  /** The volume's nodes that have names of ours, and how they hang together. */
  async #nodes(): Promise<Result<readonly GraphNode[]>> {
    const reply = await this.#daemon.call<QemuBlockGraph>('x-debug-query-block-graph')
    if (!reply.ok) return reply
    const { nodes, edges } = reply.value
    const tail = `-${this.#volume.slice(0, 16)}`
    const drivers = new Set(nodes.filter(({ type }) => type === 'block-driver').map(({ id }) => id))
    return ok(
      nodes
        .filter(
          ({ name, type }) =>
            type === 'block-driver' &&
            (name === this.topNode || name === this.#base || (name.startsWith('o') && name.endsWith(tail))),
        )
        .map(({ id, name }) => ({
          name,
          hasParent: edges.some(({ child, parent }) => child === id && drivers.has(parent)),
        })),
    )
  }

  async driver(): Promise<Result<string | undefined>> {
    const nodes = await this.#daemon.nodes.now()
    return nodes.ok ? ok(nodes.value.get(this.topNode)?.driver) : nodes
  }
}

/**
 * In the order of preference. Linux AIO was the fastest or as fast as any on the disks tried and costs least CPU; a
 * file system without O_DIRECT (tmpfs before Linux 6.6) refuses it and gets threads.
 */
const FILE_ACCESS: readonly FileAccess[] = [
  { aio: 'native', cache: { direct: true } },
  { aio: 'threads', cache: { direct: true } },
  { aio: 'threads', cache: { direct: false } },
]

interface FileAccess {
  readonly aio: 'native' | 'threads'
  readonly cache: { readonly direct: boolean }
}

function describeExport(name: string, rest: string): VolumeExport {
  const match = /^e(\d+)(-sync)?$/.exec(rest)
  if (!match) return { name, role: 'read' }
  return { name, epoch: Number(match[1]), role: match[2] ? 'sync' : 'guest' }
}
