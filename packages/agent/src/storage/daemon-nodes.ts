/**
 * What a pool's storage daemon says of its block nodes. QEMU can only be asked for all of them at once, and serves nobody
 * meanwhile (17 ms with two hundred volumes): who does not need to know it to the second shares an answer with others.
 */
import { ok, type Result } from '@stead/core/result.ts'
import type { BitmapInfo } from '@stead/core/ports/volume-host.ts'
import type { StorageDaemon } from './storage-daemon.ts'

/** How old an answer for those may be who only tidy up. */
const LATELY_MS = 4_000

export interface BlockNode {
  readonly driver: string
  readonly bitmaps: readonly BitmapInfo[]
}

export type BlockNodes = ReadonlyMap<string, BlockNode>

interface NamedNode {
  readonly 'node-name': string
  readonly drv: string
  readonly 'dirty-bitmaps'?: readonly { readonly name?: string; readonly count: number; readonly recording: boolean }[]
}

export class DaemonNodes {
  readonly #daemon: StorageDaemon
  #last: { readonly askedMs: number; readonly answer: Promise<Result<BlockNodes>> } | undefined

  constructor(daemon: StorageDaemon) {
    this.#daemon = daemon
  }

  now(): Promise<Result<BlockNodes>> {
    const asked = { askedMs: performance.now(), answer: this.#ask() }
    this.#last = asked
    // What has failed is asked again by the next one.
    void asked.answer.then((answer) => {
      if (!answer.ok && this.#last === asked) this.#last = undefined
    })
    return asked.answer
  }

  /** As they were some seconds ago at most. */
  lately(): Promise<Result<BlockNodes>> {
    const last = this.#last
    return last && performance.now() - last.askedMs < LATELY_MS ? last.answer : this.now()
  }

  async #ask(): Promise<Result<BlockNodes>> {
    const reply = await this.#daemon.call<readonly NamedNode[]>('query-named-block-nodes', { flat: true })
    if (!reply.ok) return reply
    return ok(new Map(reply.value.map((node) => [node['node-name'], toBlockNode(node)])))
  }
}

function toBlockNode({ drv, 'dirty-bitmaps': bitmaps = [] }: NamedNode): BlockNode {
  return {
    driver: drv,
    bitmaps: bitmaps.flatMap(({ name, count, recording }) =>
      name === undefined ? [] : [{ name, dirtyBytes: count, recording }],
    ),
  }
}
