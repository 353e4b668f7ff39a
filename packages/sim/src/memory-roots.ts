/**
 * The ports of native roots in memory: a replica is a root, and beside it are its cuts, or copies of another host's. Which
 * of them there are survives a loss of power, as on the real file system.
 */
import { failure, type Failure } from '@stead/core/errors.ts'
import { objectionToOpening } from '@stead/core/ha/export-gate.ts'
import { copyOn, homeOf } from '@stead/core/ha/root-copies.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { CopyOrder, OwnRootCopies, UnfinishedCopy } from '@stead/core/ports/root-copies.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { MemoryVolumeHost, type MemoryVolumeHostOptions } from './memory-volume-host.ts'
import { equalBlocks, type ReplicaContent } from './replica-content.ts'

export interface MemoryRootsOptions extends MemoryVolumeHostOptions {
  readonly readVolume: (volume: VolumeId) => Promise<Result<Volume | undefined>>
  readonly rootsOf: (host: HostId) => MemoryRoots | undefined
  /** So long it takes until all is here from there; false: it broke off. */
  readonly carry: (from: HostId, blocks: number) => Promise<boolean>
}

export class MemoryRoots extends MemoryVolumeHost implements OwnRootCopies {
  readonly #options: MemoryRootsOptions
  /** By pool and volume, then by the moment that they show. */
  readonly #copies = new Map<string, Map<number, ReplicaContent>>()
  /** By pool and volume: what was begun to be received, and is not whole. */
  readonly #unfinished = new Map<string, UnfinishedCopy>()

  constructor(options: MemoryRootsOptions) {
    super(options)
    this.#options = options
  }

  /** Where there is no root, what would become it. */
  override contentOf(volume: VolumeId, pool: string): ReplicaContent | undefined {
    return super.contentOf(volume, pool) ?? this.#newest(volume, pool)
  }

  override async exportToGuest(request: Parameters<VolumeHost['exportToGuest']>[0]) {
    const { volume, pool, epoch } = request
    const copy = super.contentOf(volume, pool) ? undefined : this.#newest(volume, pool)
    if (copy) {
      const granted = await this.#options.readEpoch(volume, pool)
      if (!granted.ok) return granted
      const objection = objectionToOpening(volume, granted.value, epoch, 'serve')
      if (objection) return fail(objection)
      if (!super.contentOf(volume, pool)) this.adopt(volume, pool, copy.copy())
      this.#copies.delete(keyOf(volume, pool))
    }
    return super.exportToGuest(request)
  }

  override async createReplica(...request: Parameters<VolumeHost['createReplica']>): Promise<Result<void>> {
    const [{ volume, pool, cloneOf }] = request
    if (cloneOf === undefined || super.contentOf(volume, pool)) return super.createReplica(...request)
    const root = super.contentOf(cloneOf, pool)
    if (!root) return fail(failure('not_found', `${this.#options.host} has no root of ${cloneOf}`))
    this.adopt(volume, pool, root.copy())
    return ok()
  }

  override async removeReplica(volume: VolumeId, pool: string): Promise<Result<void>> {
    this.#copies.delete(keyOf(volume, pool))
    return super.removeReplica(volume, pool)
  }

  async held(volume: VolumeId, pool: string): Promise<Result<readonly number[]>> {
    return ok([...(this.#copies.get(keyOf(volume, pool))?.keys() ?? [])].toSorted((a, b) => a - b))
  }

  async cut(volume: VolumeId, pool: string, at: number): Promise<Result<void>> {
    const root = this.contentOf(volume, pool)
    if (!root) return fail(failure('not_found', `${this.#options.host} has no root of ${volume}`))
    if (!this.#copies.get(keyOf(volume, pool))?.has(at)) this.#put(volume, pool, at, root.copy())
    return ok()
  }

  async receive(order: CopyOrder): Promise<Result<{ readonly bytes: number }>> {
    const { volume, pool, at, base, from, sizeBytes } = order
    const refused = await this.#refusal(order)
    if (refused) return fail(refused)
    const own = this.#copies.get(keyOf(volume, pool))
    if (own?.has(at)) return ok({ bytes: 0 })
    if (!own && sizeBytes > this.#options.capacityBytes) return fail(failure('no_capacity', 'The pool is full'))
    const theirs = this.#options.rootsOf(from.host)?.copiesOf(volume, from.pool)
    const [content, before] = [theirs?.get(at), base === undefined ? undefined : theirs?.get(base)]
    if (!content || (base !== undefined && !(before && own?.has(base))))
      return fail(failure('not_found', `${from.host} does not hold what is to be sent of ${volume}`))
    const blocks = changedBlocks(before, content)
    this.leaveUnfinished(volume, pool)
    const hasCome = await this.#options.carry(from.host, blocks)
    const late = hasCome ? await this.#refusal(order) : failure('storage', 'The copy broke off')
    this.#unfinished.delete(keyOf(volume, pool))
    if (late) return fail(late)
    this.#put(volume, pool, at, content.copy())
    return ok({ bytes: blocks * content.blockBytes })
  }

  /** As one whose agent is killed while it receives, after the volume was removed. */
  leaveUnfinished(volume: VolumeId, pool: string): void {
    this.#unfinished.set(keyOf(volume, pool), { volume, pool })
  }

  unfinished(): readonly UnfinishedCopy[] {
    return [...this.#unfinished.values()].filter((left) => this.#isUnfinished(left))
  }

  async dropUnfinished(left: UnfinishedCopy): Promise<Result<void>> {
    if (this.#isUnfinished(left)) this.#unfinished.delete(keyOf(left.volume, left.pool))
    return ok()
  }

  #isUnfinished({ volume, pool }: UnfinishedCopy): boolean {
    return this.#unfinished.has(keyOf(volume, pool)) && this.contentOf(volume, pool) === undefined
  }

  async keepOnly(volume: VolumeId, pool: string, kept: readonly number[]): Promise<Result<void>> {
    const copies = this.#copies.get(keyOf(volume, pool))
    const newest = super.contentOf(volume, pool) ? undefined : Math.max(...(copies?.keys() ?? []))
    for (const at of copies?.keys() ?? []) if (!kept.includes(at) && at !== newest) copies?.delete(at)
    if (copies?.size === 0) this.#copies.delete(keyOf(volume, pool))
    return ok()
  }

  async takeOver(from: VolumeId, to: VolumeId, pool: string): Promise<Result<void>> {
    if (super.contentOf(to, pool)) return ok()
    const root = this.contentOf(from, pool)
    if (!root) return fail(failure('not_found', `${this.#options.host} has no root of ${from}`))
    this.adopt(to, pool, root)
    return this.removeReplica(from, pool)
  }

  protected copiesOf(volume: VolumeId, pool: string): ReadonlyMap<number, ReplicaContent> | undefined {
    return this.#copies.get(keyOf(volume, pool))
  }

  async #refusal({ volume, pool, from }: CopyOrder): Promise<Failure | undefined> {
    const record = await this.#options.readVolume(volume)
    if (!record.ok) return record.error
    const isWanted = record.value && copyOn(record.value, this.#options.host as HostId)?.pool === pool
    if (!isWanted || homeOf(record.value) !== from.host)
      return failure('conflict', `The record of volume ${volume} wants no copy here from ${from.host}`)
    if (super.contentOf(volume, pool)) return failure('conflict', `An earlier root of volume ${volume} is still here`)
    return undefined
  }

  #newest(volume: VolumeId, pool: string): ReplicaContent | undefined {
    const copies = this.#copies.get(keyOf(volume, pool))
    return copies?.get(Math.max(...copies.keys()))
  }

  #put(volume: VolumeId, pool: string, at: number, content: ReplicaContent): void {
    const copies = this.#copies.get(keyOf(volume, pool)) ?? new Map<number, ReplicaContent>()
    this.#copies.set(keyOf(volume, pool), copies.set(at, content))
  }
}

function changedBlocks(before: ReplicaContent | undefined, after: ReplicaContent): number {
  let changed = 0
  for (let block = 0; block * after.blockBytes < after.sizeBytes; block++)
    if (!equalBlocks(before?.block(block) ?? new Uint8Array(), after.block(block))) changed += 1
  return changed
}

function keyOf(volume: VolumeId, pool: string): string {
  return `${pool}/${volume}`
}
