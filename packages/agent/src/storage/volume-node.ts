/**
 * One volume inside a pool's storage daemon: its block node, dirty bitmaps and exports. Nothing is remembered here;
 * each question goes to the daemon, so that a restarted agent sees what really is.
 */
import { randomBytes } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { BitmapInfo } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { BLOCK_BYTES } from './byte-ranges.ts'
import type { StorageDaemon } from './storage-daemon.ts'

/** How long the end of an export may take; measured: a millisecond or two. */
const EXPORT_END_TIMEOUT_MS = 5_000
/** Bitmaps and exports of this prefix live as long as one reading of the volume. */
const SNAPSHOT_PREFIX = 'read-'

interface NamedNode {
  readonly 'node-name': string
  readonly 'dirty-bitmaps'?: readonly { readonly name?: string; readonly count: number; readonly recording: boolean }[]
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
  /** Node names have at most 31 characters: a UUID's first 30 digits are 120 bits. */
  readonly #name: string

  constructor(daemon: StorageDaemon, volume: VolumeId, path: string) {
    this.#daemon = daemon
    this.#volume = volume
    this.#path = path
    this.#name = `v${volume.slice(0, 30)}`
  }

  guestExport(epoch: number): string {
    return `vol-${this.#volume}-e${epoch}`
  }

  syncExport(epoch: number): string {
    return `${this.guestExport(epoch)}-sync`
  }

  async isOpen(): Promise<Result<boolean>> {
    const node = await this.#query()
    return node.ok ? ok(node.value !== undefined) : node
  }

  async open(): Promise<Result<void>> {
    const there = await this.isOpen()
    if (!there.ok || there.value) return there.ok ? ok() : there
    let refusal: Result<void> | undefined
    for (const access of FILE_ACCESS) {
      const added = await this.#daemon.call('blockdev-add', {
        driver: 'raw',
        'node-name': this.#name,
        file: {
          driver: 'file',
          'node-name': `f${this.#volume.slice(0, 30)}`,
          filename: this.#path,
          locking: 'on',
          ...access,
        },
      })
      if (added.ok) return ok()
      refusal = added
    }
    return refusal ?? ok()
  }

  /** Closes the file and forgets the bitmaps. All exports must be gone. */
  async close(): Promise<Result<void>> {
    const there = await this.isOpen()
    if (!there.ok || !there.value) return there.ok ? ok() : there
    const closed = await this.#daemon.call('blockdev-del', { 'node-name': this.#name })
    return closed.ok ? ok() : closed
  }

  async exports(): Promise<Result<VolumeExport[]>> {
    const reply = await this.#daemon.call<readonly { readonly id: string }[]>('query-block-exports')
    if (!reply.ok) return reply
    const prefix = `vol-${this.#volume}-`
    return ok(
      reply.value
        .filter(({ id }) => id.startsWith(prefix))
        .map(({ id }) => describeExport(id, id.slice(prefix.length))),
    )
  }

  async addExport(
    name: string,
    how: { readonly writable: boolean; readonly bitmaps?: readonly string[] },
  ): Promise<Result<void>> {
    const added = await this.#daemon.call('block-export-add', {
      type: 'nbd',
      id: name,
      name,
      'node-name': this.#name,
      writable: how.writable,
      ...(how.bitmaps ? { bitmaps: how.bitmaps } : {}),
    })
    return added.ok ? ok() : added
  }

  /** Cuts off all clients of the export and waits until their last request has ended. Absent: harmless. */
  async deleteExport(name: string): Promise<Result<void>> {
    const monitor = this.#daemon.monitor()
    if (!monitor.ok) return monitor
    const ended = monitor.value.waitFor(
      ({ event, data }) => event === 'BLOCK_EXPORT_DELETED' && data['id'] === name,
      EXPORT_END_TIMEOUT_MS,
    )
    const asked = await this.#daemon.call('block-export-del', { id: name, mode: 'hard' })
    if (asked.ok && (await ended)) return ok()
    const left = await this.exports()
    if (!left.ok) return left
    if (!left.value.some((each) => each.name === name)) return ok()
    // Refused since somebody else has just asked for the same.
    if (!asked.ok && (await ended)) return ok()
    return fail(
      failure('storage', `The export ${name} does not end within ${EXPORT_END_TIMEOUT_MS} ms`, {
        cause: asked.ok ? undefined : asked.error,
        hint: 'The disk under the pool may be stuck; see `dmesg`',
      }),
    )
  }

  /** Hard-deletes these exports at once. Returns their names. */
  async deleteExports(which: readonly VolumeExport[]): Promise<Result<string[]>> {
    const ends = await Promise.all(which.map(({ name }) => this.deleteExport(name)))
    for (const end of ends) if (!end.ok) return end
    return ok(which.map(({ name }) => name))
  }

  async bitmaps(): Promise<Result<BitmapInfo[]>> {
    const node = await this.#query()
    if (!node.ok) return node
    return ok(
      (node.value?.['dirty-bitmaps'] ?? [])
        .filter(({ name }) => name !== undefined && !name.startsWith(SNAPSHOT_PREFIX))
        .map(({ name = '', count, recording }) => ({ name, dirtyBytes: count, recording })),
    )
  }

  async bitmap(name: string): Promise<Result<BitmapInfo | undefined>> {
    const all = await this.bitmaps()
    return all.ok ? ok(all.value.find((each) => each.name === name)) : all
  }

  /**
   * Makes `name` record. True when it holds no history, so that older changes are unknown. A bitmap that a resync
   * had disabled takes over what its successors recorded: they begin where it ended.
   */
  async ensureRecording(name: string): Promise<Result<boolean>> {
    const all = await this.bitmaps()
    if (!all.ok) return all
    const present = all.value.find((each) => each.name === name)
    if (present?.recording) return ok(false)
    const others = all.value.filter((each) => each.name !== name)
    if (present && others.some((each) => each.recording)) {
      const merged = await this.#transaction([
        { type: 'block-dirty-bitmap-enable', data: { node: this.#name, name } },
        {
          type: 'block-dirty-bitmap-merge',
          data: { node: this.#name, target: name, bitmaps: others.map((each) => each.name) },
        },
        ...others.map((each) => ({ type: 'block-dirty-bitmap-remove', data: { node: this.#name, name: each.name } })),
      ])
      return merged.ok ? ok(false) : merged
    }
    // Nothing recorded since it was disabled: what it holds is not all, so it begins anew.
    const added = await this.#transaction(
      present
        ? ['clear', 'enable'].map((verb) => ({ type: `block-dirty-bitmap-${verb}`, data: { node: this.#name, name } }))
        : [{ type: 'block-dirty-bitmap-add', data: { node: this.#name, name, granularity: BLOCK_BYTES } }],
    )
    return added.ok ? ok(true) : added
  }

  async addBitmap(name: string, disable: string | undefined): Promise<Result<void>> {
    const all = await this.bitmaps()
    if (!all.ok) return all
    const isRecording = (wanted: string) => all.value.find((each) => each.name === wanted)?.recording
    // Repeated: its first time did all of it, being one transaction.
    if (isRecording(name) && (disable === undefined || isRecording(disable) === false)) return ok()
    return this.#transaction([
      { type: 'block-dirty-bitmap-add', data: { node: this.#name, name, granularity: BLOCK_BYTES } },
      ...(disable === undefined
        ? []
        : [{ type: 'block-dirty-bitmap-disable', data: { node: this.#name, name: disable } }]),
    ])
  }

  removeBitmap(name: string): Promise<Result<void>> {
    return this.#transaction([{ type: 'block-dirty-bitmap-remove', data: { node: this.#name, name } }])
  }

  mergeBitmap(from: string, into: string): Promise<Result<void>> {
    return this.#transaction([
      { type: 'block-dirty-bitmap-merge', data: { node: this.#name, target: into, bitmaps: [from] } },
      { type: 'block-dirty-bitmap-remove', data: { node: this.#name, name: from } },
    ])
  }

  /**
   * Opens a read-only export, with a frozen copy of `bitmap` when one is named: the bitmap itself then stays free
   * for everybody, and may be recording. `context` is the name to ask block status for.
   */
  async openForReading(
    bitmap?: string,
  ): Promise<Result<{ readonly exportName: string; readonly context?: string; readonly close: () => Promise<void> }>> {
    const mark = `${SNAPSHOT_PREFIX}${randomBytes(6).toString('hex')}`
    const exportName = `vol-${this.#volume}-${mark}`
    if (bitmap !== undefined) {
      const copied = await this.#transaction([
        {
          type: 'block-dirty-bitmap-add',
          data: { node: this.#name, name: mark, granularity: BLOCK_BYTES, disabled: true },
        },
        { type: 'block-dirty-bitmap-merge', data: { node: this.#name, target: mark, bitmaps: [bitmap] } },
      ])
      if (!copied.ok) return copied
    }
    const close = async () => {
      // Both end with the daemon; a left-over one is cleaned away by the next agent that adopts it.
      await this.deleteExport(exportName)
      if (bitmap !== undefined) await this.removeBitmap(mark)
    }
    const added = await this.addExport(exportName, {
      writable: false,
      ...(bitmap === undefined ? {} : { bitmaps: [mark] }),
    })
    if (!added.ok) {
      await close()
      return added
    }
    return ok({ exportName, close, ...(bitmap === undefined ? {} : { context: `qemu:dirty-bitmap:${mark}` }) })
  }

  async #query(): Promise<Result<NamedNode | undefined>> {
    const reply = await this.#daemon.call<readonly NamedNode[]>('query-named-block-nodes', { flat: true })
    return reply.ok ? ok(reply.value.find((node) => node['node-name'] === this.#name)) : reply
  }

  async #transaction(actions: readonly object[]): Promise<Result<void>> {
    const done = await this.#daemon.call('transaction', { actions })
    return done.ok ? ok() : done
  }
}

/**
 * In the order of preference. Linux AIO was the fastest or as fast as any on the disks tried and costs least CPU; a
 * file system without O_DIRECT (tmpfs before Linux 6.6) refuses it and gets threads.
 */
const FILE_ACCESS = [
  { aio: 'native', cache: { direct: true } },
  { aio: 'threads', cache: { direct: true } },
  { aio: 'threads', cache: { direct: false } },
] as const

function describeExport(name: string, rest: string): VolumeExport {
  const match = /^e(\d+)(-sync)?$/.exec(rest)
  if (!match) return { name, role: 'read' }
  return { name, epoch: Number(match[1]), role: match[2] ? 'sync' : 'guest' }
}

/** Removes reading exports and bitmap copies that an agent left behind when it died. */
export async function cleanAfterDeadAgent(daemon: StorageDaemon): Promise<Result<void>> {
  const exports = await daemon.call<readonly { readonly id: string }[]>('query-block-exports')
  if (!exports.ok) return exports
  for (const { id } of exports.value) {
    const volume = /^vol-(.+)-read-[0-9a-f]{12}$/.exec(id)?.[1]
    if (volume === undefined) continue
    const ended = await new VolumeNode(daemon, volume as VolumeId, '').deleteExport(id)
    if (!ended.ok) return ended
  }
  const nodes = await daemon.call<readonly NamedNode[]>('query-named-block-nodes', { flat: true })
  if (!nodes.ok) return nodes
  for (const node of nodes.value) {
    for (const { name } of node['dirty-bitmaps'] ?? []) {
      if (!name?.startsWith(SNAPSHOT_PREFIX)) continue
      const removed = await daemon.call('block-dirty-bitmap-remove', { node: node['node-name'], name })
      if (!removed.ok) return removed
    }
  }
  return ok()
}
