/**
 * Snapshots as clones of the replica's file, on file systems that share blocks between files (XFS with reflink, btrfs;
 * bcachefs and ZFS 2.2 know the same call). A clone is a file of its own that nobody writes; the replica stays as it is.
 */
import { constants, copyFile, open, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { isAbsent, noCapacity, removeWithDraft, replicaPath, roomIn, secure, syncFolder } from './replica-files.ts'
import { cutAlready, neverCut, notPrepared } from './snapshot-refusals.ts'
import type { PoolConfig } from './storage-daemon.ts'

export interface Clone {
  readonly volume: VolumeId
  readonly snapshot: SnapshotId
  readonly isSealed: boolean
}

/** With `.new`: prepared, or cut and not sealed. */
const FILE_NAME = /^(\w+)\.snap-(\w+)\.raw(\.new)?$/

function clonePath(pool: PoolConfig, volume: VolumeId, snapshot: SnapshotId): string {
  return join(pool.path, `${volume}.snap-${snapshot}.raw`)
}

/** Tried with two small files: whether the kernel and the file system can is said by no list. */
export async function canClone(pool: PoolConfig): Promise<boolean> {
  const from = join(pool.path, '.clone-probe')
  const to = `${from}.copy`
  try {
    await writeFile(from, 'probe')
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    // ext4 and tmpfs: EOPNOTSUPP. Whatever it is, the other way works everywhere.
    return false
  } finally {
    await rm(from, { force: true })
    await rm(to, { force: true })
  }
}

export async function clonesIn(pool: PoolConfig): Promise<readonly Clone[]> {
  const names = await readdir(pool.path).catch((cause: unknown) => {
    if (isAbsent(cause)) return []
    throw cause
  })
  return names.flatMap((name) => {
    const match = FILE_NAME.exec(name)
    if (!match) return []
    const [, volume, snapshot, open] = match
    return [{ volume: volume as VolumeId, snapshot: snapshot as SnapshotId, isSealed: open === undefined }]
  })
}

/** The file that is the snapshot, where it is a clone. */
export async function sealedClone(
  pool: PoolConfig,
  volume: VolumeId,
  snapshot: SnapshotId,
): Promise<string | undefined> {
  const clones = await clonesIn(pool)
  const found = clones.some((clone) => clone.isSealed && clone.volume === volume && clone.snapshot === snapshot)
  return found ? clonePath(pool, volume, snapshot) : undefined
}

/**
 * Leaves an empty file in the clone's place. There must be room for the volume to be written anew as a whole: each block
 * that a clone shares takes a new one then.
 */
export async function prepareClone(
  pool: PoolConfig,
  volume: VolumeId,
  snapshot: SnapshotId,
  sizeBytes: number,
): Promise<Result<void>> {
  const clones = (await clonesIn(pool)).filter((clone) => clone.volume === volume)
  if (clones.some((clone) => clone.snapshot === snapshot)) return ok()
  const isCounted = clones.length > 0
  const room = await roomIn(pool)
  const wanted = isCounted ? 0 : sizeBytes
  if (wanted > room) return fail(noCapacity(pool, wanted, room))
  const { bavail, bsize } = await statfs(pool.path)
  if (bavail * bsize < sizeBytes) return fail(noCapacity(pool, sizeBytes, bavail * bsize))
  try {
    await writeFile(`${clonePath(pool, volume, snapshot)}.new`, '')
    return ok()
  } catch (cause) {
    return fail(failure('storage', `Volume ${volume} cannot be cloned: ${(cause as Error).message}`, { cause }))
  }
}

/** Of a flushed replica to which nothing is written meanwhile. It counts only once it is sealed. */
export async function cutClone(pool: PoolConfig, volume: VolumeId, snapshot: SnapshotId): Promise<Result<void>> {
  const path = `${clonePath(pool, volume, snapshot)}.new`
  try {
    const { size } = await stat(path)
    if (size > 0) return fail(cutAlready(volume))
    await copyFile(replicaPath(pool, volume), path, constants.COPYFILE_FICLONE_FORCE)
    return ok()
  } catch (cause) {
    if (isAbsent(cause)) return fail(notPrepared(volume))
    await rm(path, { force: true })
    return fail(failure('storage', `Volume ${volume} could not be cloned: ${(cause as Error).message}`, { cause }))
  }
}

export async function sealClone(pool: PoolConfig, volume: VolumeId, snapshot: SnapshotId): Promise<Result<void>> {
  const path = clonePath(pool, volume, snapshot)
  try {
    if ((await stat(`${path}.new`)).size === 0) return fail(neverCut(volume))
    await secure(`${path}.new`, 0o400)
    await rename(`${path}.new`, path)
    await syncFolder(pool.path)
    return ok()
  } catch (cause) {
    const isThere = (await clonesIn(pool)).some((clone) => clone.snapshot === snapshot && clone.volume === volume)
    if (isAbsent(cause)) return isThere ? ok() : fail(neverCut(volume))
    return fail(failure('storage', `${path} could not be completed: ${(cause as Error).message}`, { cause }))
  }
}

export async function releaseClone(pool: PoolConfig, volume: VolumeId, snapshot: SnapshotId): Promise<Result<void>> {
  return removeWithDraft(clonePath(pool, volume, snapshot))
}

/** Puts a clone of the snapshot in the replica's place, which must be closed. */
export async function rollBackToClone(
  pool: PoolConfig,
  volume: VolumeId,
  snapshot: SnapshotId,
  user?: { readonly uid: number; readonly gid: number },
): Promise<Result<void>> {
  const path = replicaPath(pool, volume)
  const next = `${path}.new`
  try {
    await rm(next, { force: true })
    await copyFile(clonePath(pool, volume, snapshot), next, constants.COPYFILE_FICLONE_FORCE)
    const file = await open(next, 'r')
    try {
      await file.chmod(0o600)
      if (user) await file.chown(user.uid, user.gid)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, path)
    await syncFolder(pool.path)
    return ok()
  } catch (cause) {
    await rm(next, { force: true })
    return fail(failure('storage', `Volume ${volume} could not be rolled back: ${(cause as Error).message}`, { cause }))
  }
}
