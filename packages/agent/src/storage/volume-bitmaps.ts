/** The dirty bitmaps of one volume inside a pool's storage daemon. */
import type { BitmapInfo } from '@stead/core/ports/volume-host.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { BLOCK_BYTES } from './byte-ranges.ts'
import type { BlockNode } from './daemon-nodes.ts'
import type { StorageDaemon } from './storage-daemon.ts'

/** Of bitmaps and exports that live as long as one reading. */
export const SNAPSHOT_PREFIX = 'read-'

export class VolumeBitmaps {
  readonly #daemon: StorageDaemon
  /** The volume's topmost. */
  readonly #node: string

  constructor(daemon: StorageDaemon, node: string) {
    this.#daemon = daemon
    this.#node = node
  }

  async all(): Promise<Result<readonly BitmapInfo[]>> {
    const nodes = await this.#daemon.nodes.now()
    return nodes.ok ? ok(lasting(nodes.value.get(this.#node))) : nodes
  }

  /** As they were some seconds ago at most: one question serves all volumes of the pool. */
  async lately(): Promise<Result<readonly BitmapInfo[]>> {
    const nodes = await this.#daemon.nodes.lately()
    return nodes.ok ? ok(lasting(nodes.value.get(this.#node))) : nodes
  }

  /**
   * Makes `name` record. True when it holds no history, so that older changes are unknown. A bitmap that a resync
   * had disabled takes over what its successors recorded: they begin where it ended. `all`: what is there.
   */
  async ensureRecording(name: string, all: readonly BitmapInfo[]): Promise<Result<boolean>> {
    const present = all.find((each) => each.name === name)
    if (present?.recording) return ok(false)
    const others = all.filter((each) => each.name !== name)
    if (present && others.some((each) => each.recording)) {
      const merged = await this.#transaction([
        { type: 'block-dirty-bitmap-enable', data: { node: this.#node, name } },
        {
          type: 'block-dirty-bitmap-merge',
          data: { node: this.#node, target: name, bitmaps: others.map((each) => each.name) },
        },
        ...others.map((each) => ({ type: 'block-dirty-bitmap-remove', data: { node: this.#node, name: each.name } })),
      ])
      return merged.ok ? ok(false) : merged
    }
    // Nothing recorded since it was disabled: what it holds is not all, so it begins anew.
    const added = present
      ? await this.#transaction(
          ['clear', 'enable'].map((verb) => ({
            type: `block-dirty-bitmap-${verb}`,
            data: { node: this.#node, name },
          })),
        )
      : await this.#change('add', { name, granularity: BLOCK_BYTES })
    return added.ok ? ok(true) : added
  }

  async add(name: string, disable: string | undefined): Promise<Result<void>> {
    const all = await this.all()
    if (!all.ok) return all
    const isRecording = (wanted: string) => all.value.find((each) => each.name === wanted)?.recording
    // Repeated: its first time did all of it, being one transaction.
    if (isRecording(name) && (disable === undefined || isRecording(disable) === false)) return ok()
    if (disable !== undefined && isRecording(disable) === false)
      return fail(failure('conflict', `The bitmap ${disable} was turned by somebody else meanwhile`))
    if (disable === undefined) return this.#change('add', { name, granularity: BLOCK_BYTES })
    return this.#transaction([
      { type: 'block-dirty-bitmap-add', data: { node: this.#node, name, granularity: BLOCK_BYTES } },
      { type: 'block-dirty-bitmap-disable', data: { node: this.#node, name: disable } },
    ])
  }

  remove(name: string): Promise<Result<void>> {
    return this.#change('remove', { name })
  }

  /** A frozen copy under another name, which holds what this one holds now. */
  async copy(name: string, as: string): Promise<Result<void>> {
    const added = await this.#change('add', { name: as, granularity: BLOCK_BYTES, disabled: true })
    if (!added.ok) return added
    const merged = await this.#change('merge', { target: as, bitmaps: [name] })
    if (!merged.ok) await this.remove(as)
    return merged
  }

  /** Alone, and not as a transaction: before one QEMU waits for the requests of all its exports. */
  async #change(verb: 'add' | 'merge' | 'remove', what: object): Promise<Result<void>> {
    const done = await this.#daemon.call(`block-dirty-bitmap-${verb}`, { node: this.#node, ...what })
    return done.ok ? ok() : done
  }

  async #transaction(actions: readonly object[]): Promise<Result<void>> {
    const done = await this.#daemon.call('transaction', { actions })
    return done.ok ? ok() : done
  }
}

function lasting(node: BlockNode | undefined): readonly BitmapInfo[] {
  return (node?.bitmaps ?? []).filter(({ name }) => !name.startsWith(SNAPSHOT_PREFIX))
}
