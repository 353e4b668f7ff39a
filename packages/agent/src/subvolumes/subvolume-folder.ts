/**
 * What a pool has of subvolumes:
 *
 *   <pool>/subvolumes/<volume>              the root of a container
 *   <pool>/subvolumes/<volume>.json         its number and its size; written before it appears, removed after it is gone
 *   <pool>/subvolumes/<volume>.snap-<id>    a snapshot, read-only; beside it <id>.new until it lasts
 *   <pool>/subvolumes/<volume>.copies/<at>  the root as it was at that moment, read-only: on its own host a cut, on another
 *                                           host a copy; whole once there is <at>.json beside it
 *   <pool>/subvolumes/template-<digest>     what a template holds, read-only
 *   <pool>/subvolumes/*.new, *.old          half made, or half replaced
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { readRecordFile, writeRecordFile } from '../process/record-file.ts'
import { mountOf, qgroupOf } from './qgroup-figures.ts'

export interface SubvolumeRecord {
  readonly version: 1
  readonly subvolumeId: number
  readonly sizeBytes: number
}

export interface CopyRecord {
  readonly version: 1
  readonly subvolumeId: number
  /** The root's quota. */
  readonly sizeBytes: number
}

export class SubvolumeFolder {
  readonly path: string

  constructor(poolPath: string) {
    this.path = join(poolPath, 'subvolumes')
  }

  root(volume: VolumeId): string {
    return join(this.path, volume)
  }

  draft(volume: VolumeId): string {
    return join(this.path, `${volume}.new`)
  }

  /** What a roll-back puts away. */
  former(volume: VolumeId): string {
    return join(this.path, `${volume}.old`)
  }

  snapshot(volume: VolumeId, snapshot: SnapshotId): string {
    return join(this.path, `${volume}.snap-${snapshot}`)
  }

  /** Beside a snapshot until that lasts. */
  marker(volume: VolumeId, snapshot: SnapshotId): string {
    return `${this.snapshot(volume, snapshot)}.new`
  }

  template(digest: string): string {
    return join(this.path, `template-${digest}`)
  }

  /** Anything of it, also half made. */
  holds(volume: VolumeId): boolean {
    const paths = [this.#recordFile(volume), this.draft(volume), this.root(volume), this.copies(volume)]
    return paths.some((path) => existsSync(path))
  }

  copies(volume: VolumeId): string {
    return join(this.path, `${volume}.copies`)
  }

  copy(volume: VolumeId, at: number): string {
    return join(this.copies(volume), String(at))
  }

  /** The whole ones, the oldest first. */
  wholeCopies(volume: VolumeId): readonly number[] {
    return this.allCopies(volume).filter((at) => this.copyRecord(volume, at) !== undefined)
  }

  /** Also those that are half done. */
  allCopies(volume: VolumeId): readonly number[] {
    const folder = this.copies(volume)
    const names = existsSync(folder) ? readdirSync(folder) : []
    return names.flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : [])).toSorted((a, b) => a - b)
  }

  /**
   * Nothing of it is here but what was begun to be received, and never became whole. What has a record, be it damaged, or lies
   * beside anything else, is more than that.
   */
  isUnfinished(volume: VolumeId): boolean {
    const others = [this.#recordFile(volume), this.root(volume), this.draft(volume), this.former(volume)]
    if (others.some((path) => existsSync(path)) || this.snapshotsOf(volume).length > 0) return false
    return existsSync(this.copies(volume)) && readdirSync(this.copies(volume)).every((name) => /^\d+$/.test(name))
  }

  /** One that cannot be read is none: it is made again. */
  copyRecord(volume: VolumeId, at: number): CopyRecord | undefined {
    const record = readRecordFile<CopyRecord>(`${this.copy(volume, at)}.json`, ({ version }) => version === 1)
    return record.ok && existsSync(this.copy(volume, at)) ? record.value : undefined
  }

  noteCopy(volume: VolumeId, at: number, record: Omit<CopyRecord, 'version'>): Result<void> {
    return writeRecordFile(`${this.copy(volume, at)}.json`, { version: 1, ...record })
  }

  forgetCopy(volume: VolumeId, at: number): void {
    rmSync(`${this.copy(volume, at)}.json`, { force: true })
  }

  record(volume: VolumeId): Result<SubvolumeRecord | undefined> {
    return readRecordFile<SubvolumeRecord>(this.#recordFile(volume), ({ version }) => version === 1)
  }

  note(volume: VolumeId, record: Omit<SubvolumeRecord, 'version'>): Result<void> {
    return writeRecordFile(this.#recordFile(volume), { version: 1, ...record })
  }

  forget(volume: VolumeId): Result<void> {
    rmSync(this.#recordFile(volume), { force: true })
    return ok()
  }

  /** Also those that were prepared and never cut, of which there is the marker alone. */
  snapshotsOf(volume: VolumeId): readonly SnapshotId[] {
    const prefix = `${volume}.snap-`
    const names = this.#names().filter((name) => name.startsWith(prefix))
    return [...new Set(names.map((name) => name.slice(prefix.length).replace(/\.new$/, '') as SnapshotId))]
  }

  get volumes(): readonly VolumeId[] {
    return this.#names().flatMap((name) => (/^(\w+)\.json$/.exec(name)?.[1] ?? []) as VolumeId[])
  }

  /** Of which there is a copy, or a cut. */
  get copied(): readonly VolumeId[] {
    return this.#names().flatMap((name) => (/^(\w+)\.copies$/.exec(name)?.[1] ?? []) as VolumeId[])
  }

  get templates(): readonly string[] {
    return this.#names().flatMap((name) => /^template-([0-9a-f]+)$/.exec(name)?.[1] ?? [])
  }

  #names(): readonly string[] {
    return existsSync(this.path) ? readdirSync(this.path) : []
  }

  #recordFile(volume: VolumeId): string {
    return join(this.path, `${volume}.json`)
  }
}

export interface PromisedRoom {
  /** The sizes of all roots and copies, of roots with snapshots or cuts twice: each block that is written again takes a new one. */
  readonly promisedBytes: number
  /** What they may still take of the file system's free room. */
  readonly unwrittenBytes: number
}

/** What a pool's subvolumes were promised; nothing where it has none. */
export function promisedToSubvolumes(poolPath: string): PromisedRoom {
  const folder = new SubvolumeFolder(poolPath)
  const { volumes, copied } = folder
  const device = volumes.length + copied.length === 0 ? undefined : mountOf(poolPath)?.source
  let [promisedBytes, unwrittenBytes] = [0, 0]
  for (const volume of volumes) {
    const record = folder.record(volume)
    if (!record.ok || !record.value) continue
    const { sizeBytes, subvolumeId } = record.value
    const own = device === undefined ? 0 : (qgroupOf(device, subvolumeId)?.ownBytes ?? 0)
    const again = folder.snapshotsOf(volume).length > 0 || copied.includes(volume) ? sizeBytes : 0
    promisedBytes += sizeBytes + again
    unwrittenBytes += Math.max(0, sizeBytes - own) + again
  }
  for (const volume of copied.filter((each) => !volumes.includes(each))) {
    const newest = folder.wholeCopies(volume).at(-1)
    const record = newest === undefined ? undefined : folder.copyRecord(volume, newest)
    if (!record) continue
    const held = device === undefined ? 0 : (qgroupOf(device, record.subvolumeId)?.heldBytes ?? 0)
    promisedBytes += record.sizeBytes
    unwrittenBytes += Math.max(0, record.sizeBytes - held)
  }
  return { promisedBytes, unwrittenBytes }
}
