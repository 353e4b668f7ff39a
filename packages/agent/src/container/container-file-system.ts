/** The ext4 file system on a container's volume: made, checked, enlarged, mounted, frozen. Every step is bounded in time. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { readSuperblock } from './ext4-superblock.ts'

const MOUNT_TIMEOUT_MS = 60_000
/** Of a mounted one: tables of new groups are only noted, so it takes seconds for terabytes. */
const GROW_TIMEOUT_MS = 60_000
/** A large file system that must be read whole. */
const CHECK_TIMEOUT_MS = 30 * 60_000
/** The kernel's writing down of what is in memory, before it is mounted no more. */
const UNMOUNT_TIMEOUT_MS = 120_000
const FREEZE_TIMEOUT_MS = 30_000

/** e2fsck's own: 1 errors were corrected, 2 and the machine should be rebooted, which is about mounted file systems. */
const CHECKED = [0, 1, 2, 3]

/** blkid's own: nothing was found. */
const BLKID_NOTHING = 2

export interface NewFileSystem {
  /** How many files it can hold; absent: as many as mkfs thinks right for the size. */
  readonly inodes?: number
}

/** Nothing that any known file system or partition table leaves is on the device. */
export async function isBlank(device: string): Promise<boolean> {
  const found = await runProgram('blkid', ['--probe', device], MOUNT_TIMEOUT_MS, { accepted: [BLKID_NOTHING] })
  return found.ok
}

/** Without zeroing the volume first: a new one holds zeroes, and another one's content is not to be trusted anyway. */
export async function makeFileSystem(device: string, { inodes }: NewFileSystem): Promise<Result<void>> {
  const number = inodes === undefined ? [] : ['-N', String(inodes)]
  const args = ['-q', '-F', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1', ...number, device]
  const made = await runProgram('mkfs.ext4', args, CHECK_TIMEOUT_MS)
  return made.ok ? ok() : made
}

/**
 * Replays the journal of an unclean end and repairs what can be repaired without losing anything; a clean file system is
 * left alone. When the device has become larger, it is enlarged, and checked whole before, unless it was never mounted since
 * it was made. (Each program that is not run saves a start 7 to 15 ms.)
 */
export async function checkFileSystem(device: string): Promise<Result<void>> {
  let found = await readSuperblock(device)
  if (!found?.isClean) {
    const checked = await runProgram('e2fsck', ['-p', device], CHECK_TIMEOUT_MS, { accepted: CHECKED })
    if (!checked.ok) return damaged(checked.error)
    found = await readSuperblock(device)
  }
  const size = await sizeOf(device)
  // What is less than a block more cannot be used.
  if (found && found.sizeBytes + found.blockBytes > size) return ok()
  if (!found || found.wasUsed) {
    const whole = await runProgram('e2fsck', ['-f', '-p', device], CHECK_TIMEOUT_MS, { accepted: CHECKED })
    if (!whole.ok) return damaged(whole.error)
  }
  const grown = await runProgram('resize2fs', [device], CHECK_TIMEOUT_MS)
  return grown.ok ? ok() : grown
}

/**
 * Enlarges a mounted file system to its device's size. Linux asks for CAP_SYS_RESOURCE (`ext4_resize_begin`), which root has
 * nearly everywhere, but not where the agent itself runs in a container or a narrowed service.
 */
export async function growMounted(device: string): Promise<Result<void>> {
  const grown = await runProgram('resize2fs', [device], GROW_TIMEOUT_MS)
  if (grown.ok) return ok()
  const isDenied = /Permission denied|Operation not permitted/.test(grown.error.message)
  const why = isDenied
    ? 'the kernel of its host lets the agent enlarge no mounted one (CAP_SYS_RESOURCE)'
    : `it cannot be enlarged while it is mounted (${grown.error.message})`
  return fail(failure('conflict', `it takes the new size at the next start: ${why}`, { cause: grown.error }))
}

function damaged(cause: unknown): Result<never> {
  return fail(
    failure('storage', "The container's file system is damaged and cannot be repaired without losing something", {
      cause,
      hint: 'Restore a backup or a snapshot, or repair it by hand with e2fsck',
    }),
  )
}

/** Of a block device, whose `stat` tells none. */
async function sizeOf(device: string): Promise<number> {
  const sectors = await readFile(`/sys/class/block/${basename(device)}/size`, 'utf8')
  return Number(sectors) * 512
}

/** An error of the file system makes it read-only, so that what follows an end without the disk is not believed. */
export async function mountFileSystem(device: string, folder: string): Promise<Result<void>> {
  const options = 'noatime,nodev,errors=remount-ro'
  const mounted = await runProgram('mount', ['-t', 'ext4', '-o', options, device, folder], MOUNT_TIMEOUT_MS)
  return mounted.ok ? ok() : mounted
}

/**
 * What is mounted below the folder goes also from mount namespaces that were made meanwhile, unless they have cut themselves
 * off (`private`; `slave` is fine). Without, a namespace that was made for one container would keep the disks of all others
 * in use. Once for each host, for the folder that holds all its guests; lasts until the host goes down. Can be repeated.
 */
export async function shareMountsBelow(folder: string): Promise<Result<void>> {
  if (!isMounted(folder)) {
    const bound = await runProgram('mount', ['--bind', folder, folder], MOUNT_TIMEOUT_MS)
    if (!bound.ok) return bound
  }
  const shared = await runProgram('mount', ['--make-shared', folder], MOUNT_TIMEOUT_MS)
  return shared.ok ? ok() : shared
}

/** Fails with `internal` while something uses it. Writes down all that is in memory. */
export async function unmount(folder: string): Promise<Result<void>> {
  if (!isMounted(folder)) return ok()
  const done = await runProgram('umount', ['--no-canonicalize', folder], UNMOUNT_TIMEOUT_MS)
  return done.ok ? ok() : done
}

/** From now on nobody finds it; it is gone when the last who uses it is. Never waits for a disk. */
export async function unmountLazily(folder: string): Promise<Result<void>> {
  // Mounted several times over by agents that crashed: each comes away by itself.
  for (let left = 8; left > 0 && isMounted(folder); left--) {
    const done = await runProgram(
      'umount',
      ['--lazy', '--no-canonicalize', '--internal-only', folder],
      FREEZE_TIMEOUT_MS,
    )
    if (!done.ok) return done
  }
  return isMounted(folder) ? fail(failure('internal', `${folder} stays mounted`)) : ok()
}

export function isMounted(folder: string): boolean {
  const paths = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  // Spaces and the like are written as octal numbers.
  const written = folder.replaceAll(/[\s\\]/g, (each) => `\\${each.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return paths.some((line) => line.split(' ')[4] === written)
}

/** All is written and nothing changes until `thaw`. Never of a disk that holds: it would wait for `go`. */
export async function freeze(folder: string): Promise<Result<void>> {
  const frozen = await runProgram('fsfreeze', ['--freeze', folder], FREEZE_TIMEOUT_MS)
  if (frozen.ok) return ok()
  // It may have been frozen just after nobody waited any more.
  await runProgram('fsfreeze', ['--unfreeze', folder], FREEZE_TIMEOUT_MS)
  return frozen
}

/** Also of one that is not frozen. */
export async function thaw(folder: string): Promise<Result<void>> {
  const thawed = await runProgram('fsfreeze', ['--unfreeze', folder], FREEZE_TIMEOUT_MS)
  return thawed.ok || /Invalid argument/.test(thawed.error.message) ? ok() : thawed
}
