/** What Stead asks of btrfs, by the program of the same name (btrfs-progs 6.2 and later). Every call is bounded in time. */
import { existsSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { BTRFS_MAGIC, emptyQgroups, mountOf, qgroupsFolder } from './qgroup-figures.ts'

const TIMEOUT_MS = 60_000
/** All that is on the file system is looked at once. */
const RESCAN_TIMEOUT_MS = 30 * 60_000
/** btrfs's own highest level of a tree: no subvolume is too large to be counted exactly while it is deleted. */
const EXACT_AT_ANY_SIZE = '8'

/** The folder is on btrfs, or will be once it is made, and btrfs's program is there. */
export function canHoldSubvolumes(folder: string): boolean {
  let present = folder
  while (!existsSync(present)) present = dirname(present)
  const isThere = ['/usr/bin/btrfs', '/bin/btrfs', '/sbin/btrfs'].some((path) => existsSync(path))
  return isThere && statfsSync(present).type === BTRFS_MAGIC
}

/**
 * Turns the counting of space on, once for the whole file system, and waits until what is there already is counted: before
 * that a limit would be one of a wrong figure.
 */
export async function ensureQuotas(folder: string): Promise<Result<void>> {
  const device = mountOf(folder)?.source
  if (device === undefined) return fail(failure('storage', `${folder} is on no file system that can be found`))
  if (qgroupsFolder(device) === undefined) {
    const enabled = await btrfs('quota', 'enable', folder)
    if (!enabled.ok) return enabled
    const counted = await runProgram('btrfs', ['quota', 'rescan', '-w', folder], RESCAN_TIMEOUT_MS)
    if (!counted.ok) return counted
  }
  const figures = qgroupsFolder(device)
  if (figures === undefined) return fail(failure('storage', `The kernel shows no quotas of ${folder}`))
  // Linux gives up exact figures at the deletion of all but the smallest subvolumes otherwise, and asks for a new count.
  const threshold = join(figures, 'drop_subtree_threshold')
  if (existsSync(threshold)) writeFileSync(threshold, EXACT_AT_ANY_SIZE)
  return ok()
}

export function makeSubvolume(path: string): Promise<Result<void>> {
  return btrfs('subvolume', 'create', path)
}

/** Shares all blocks with the other, and takes milliseconds whatever it holds. */
export function cloneSubvolume(from: string, to: string, how?: 'read-only'): Promise<Result<void>> {
  return btrfs('subvolume', 'snapshot', ...(how === 'read-only' ? ['-r'] : []), from, to)
}

/** Harmless where there is none. Its space is free a while later. */
export async function deleteSubvolume(path: string): Promise<Result<void>> {
  return existsSync(path) ? btrfs('subvolume', 'delete', '--commit-after', path) : ok()
}

/** Its number in the file system, which no other one ever has again. */
export async function subvolumeId(path: string): Promise<Result<number>> {
  const answer = await runProgram('btrfs', ['inspect-internal', 'rootid', path], TIMEOUT_MS)
  return answer.ok ? ok(Number(answer.value.output.trim())) : answer
}

/** Of all that can be read in it; writing fails with EDQUOT above. */
export function limitSubvolume(path: string, bytes: number): Promise<Result<void>> {
  return btrfs('qgroup', 'limit', String(bytes), path)
}

/** What was written before lasts. */
export function syncFileSystem(path: string): Promise<Result<void>> {
  return btrfs('filesystem', 'sync', path)
}

/** Forgets the counters of subvolumes that are deleted and gone: btrfs keeps them for ever. */
export async function sweepQgroups(folder: string): Promise<void> {
  const device = mountOf(folder)?.source
  const empty = device === undefined ? [] : emptyQgroups(device)
  if (empty.length === 0) return
  const present = new Set<number>()
  for (const deleted of [[], ['-d']]) {
    const listed = await runProgram('btrfs', ['subvolume', 'list', ...deleted, folder], TIMEOUT_MS)
    if (!listed.ok) return
    for (const [, id] of listed.value.output.matchAll(/^ID (\d+) /gm)) present.add(Number(id))
  }
  for (const id of empty) if (!present.has(id)) await btrfs('qgroup', 'destroy', `0/${id}`, folder)
}

async function btrfs(...args: readonly string[]): Promise<Result<void>> {
  const done = await runProgram('btrfs', args, TIMEOUT_MS)
  if (done.ok) return ok()
  const isFull = /No space left|Disk quota exceeded/.test(done.error.message)
  return fail(failure(isFull ? 'no_capacity' : 'storage', done.error.message, { cause: done.error }))
}
