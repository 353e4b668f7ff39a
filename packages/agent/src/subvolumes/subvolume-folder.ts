/**
 * What a pool has of subvolumes:
 *
 *   <pool>/subvolumes/<volume>              the root of a container
 *   <pool>/subvolumes/<volume>.json         its number and its size; written before it appears, removed after it is gone
 *   <pool>/subvolumes/<volume>.snap-<id>    a snapshot, read-only; beside it <id>.new until it lasts
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

  template(digest: string): string {
    return join(this.path, `template-${digest}`)
  }

  /** Anything of it, also half made. */
  holds(volume: VolumeId): boolean {
    return existsSync(this.#recordFile(volume)) || existsSync(this.draft(volume)) || existsSync(this.root(volume))
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
  /** The sizes of all roots, of those with snapshots twice: each block that is written again takes a new one. */
  readonly promisedBytes: number
  /** What they may still take of the file system's free room. */
  readonly unwrittenBytes: number
}

/** What a pool's subvolumes were promised; nothing where it has none. */
export function promisedToSubvolumes(poolPath: string): PromisedRoom {
  const folder = new SubvolumeFolder(poolPath)
  const { volumes } = folder
  const device = volumes.length === 0 ? undefined : mountOf(poolPath)?.source
  let [promisedBytes, unwrittenBytes] = [0, 0]
  for (const volume of volumes) {
    const record = folder.record(volume)
    if (!record.ok || !record.value) continue
    const { sizeBytes, subvolumeId } = record.value
    const own = device === undefined ? 0 : (qgroupOf(device, subvolumeId)?.ownBytes ?? 0)
    const again = folder.snapshotsOf(volume).length > 0 ? sizeBytes : 0
    promisedBytes += sizeBytes + again
    unwrittenBytes += Math.max(0, sizeBytes - own) + again
  }
  return { promisedBytes, unwrittenBytes }
}
