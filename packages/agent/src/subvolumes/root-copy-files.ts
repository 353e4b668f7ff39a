/** What a pool has of cuts and copies of native roots, as steps that can each be repeated after a crash. */
import { existsSync, renameSync, rmSync } from 'node:fs'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { cloneSubvolume, deleteSubvolume, subvolumeId, sweepQgroups, syncFileSystem } from './btrfs.ts'
import type { SubvolumeFolder } from './subvolume-folder.ts'
import { noRoot } from './subvolume-refusals.ts'

/** A roll-back that was cut short: what it put away is whole still. */
export function restoreFormer(folder: SubvolumeFolder, volume: VolumeId): void {
  if (!existsSync(folder.root(volume)) && existsSync(folder.former(volume)))
    renameSync(folder.former(volume), folder.root(volume))
}

/** The root that another one is to begin as. A snapshot of it is made at once, whoever writes to it. */
export function rootToClone(folder: SubvolumeFolder, volume: VolumeId): Result<string> {
  restoreFormer(folder, volume)
  return existsSync(folder.root(volume)) ? ok(folder.root(volume)) : fail(noRoot(volume))
}

/** The root, or the newest copy where there is none: that becomes it. */
export function rootToBe(
  folder: SubvolumeFolder,
  volume: VolumeId,
): Result<{ readonly path: string; readonly sizeBytes: number }> {
  const record = folder.record(volume)
  if (!record.ok) return record
  const path = folder.root(volume)
  if (existsSync(path)) return record.value ? ok({ path, sizeBytes: record.value.sizeBytes }) : fail(noRoot(volume))
  const newest = folder.wholeCopies(volume).at(-1)
  const copy = newest === undefined ? undefined : folder.copyRecord(volume, newest)
  return newest !== undefined && copy
    ? ok({ path: folder.copy(volume, newest), sizeBytes: copy.sizeBytes })
    : fail(noRoot(volume))
}

/** Of one that has come and was never opened: what would have become it becomes the root of another volume. */
export async function rootAside(folder: SubvolumeFolder, from: VolumeId, to: VolumeId): Promise<Result<void>> {
  const source = rootToBe(folder, from)
  if (!source.ok) return source
  const cleared = await deleteSubvolume(folder.draft(to))
  const made = cleared.ok ? await cloneSubvolume(source.value.path, folder.draft(to)) : cleared
  const id = made.ok ? await subvolumeId(folder.draft(to)) : made
  const noted = id.ok ? folder.note(to, { subvolumeId: id.value, sizeBytes: source.value.sizeBytes }) : id
  if (!noted.ok) return noted
  renameSync(folder.draft(to), folder.root(to))
  return syncFileSystem(folder.path)
}

/** All but these, and those that `isUsed` says of. */
export async function dropCopies(
  folder: SubvolumeFolder,
  volume: VolumeId,
  kept: readonly number[],
  isUsed: (at: number) => boolean = () => false,
): Promise<Result<void>> {
  const surplus = folder.allCopies(volume).filter((at) => !kept.includes(at) && !isUsed(at))
  for (const at of surplus) {
    folder.forgetCopy(volume, at)
    const deleted = await deleteSubvolume(folder.copy(volume, at))
    if (!deleted.ok) return deleted
  }
  if (folder.allCopies(volume).length === 0) rmSync(folder.copies(volume), { recursive: true, force: true })
  if (surplus.length > 0) await sweepQgroups(folder.path)
  return ok()
}

/** It lasts when this returns, and counts from then on. */
export async function sealCopy(
  folder: SubvolumeFolder,
  volume: VolumeId,
  at: number,
  sizeBytes: number,
): Promise<Result<void>> {
  // What was written first: the record says that all of it is there.
  const written = await syncFileSystem(folder.path)
  const id = written.ok ? await subvolumeId(folder.copy(volume, at)) : written
  const noted = id.ok ? folder.noteCopy(volume, at, { subvolumeId: id.value, sizeBytes }) : id
  return noted.ok ? syncFileSystem(folder.path) : noted
}

/**
 * The newest copy becomes the root, where there is none. `publish` gives what was made its limit and its place. What was
 * put away by a roll-back is a root.
 */
export async function rootFromCopy(
  folder: SubvolumeFolder,
  volume: VolumeId,
  publish: (sizeBytes: number) => Promise<Result<void>>,
): Promise<Result<void>> {
  restoreFormer(folder, volume)
  const newest = folder.wholeCopies(volume).at(-1)
  const record = newest === undefined ? undefined : folder.copyRecord(volume, newest)
  if (existsSync(folder.root(volume)) || newest === undefined || !record) return ok()
  const cleared = await deleteSubvolume(folder.draft(volume))
  const made = cleared.ok ? await cloneSubvolume(folder.copy(volume, newest), folder.draft(volume)) : cleared
  const published = made.ok ? await publish(record.sizeBytes) : made
  return published.ok ? dropCopies(folder, volume, []) : published
}
