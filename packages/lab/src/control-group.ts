/**
 * A lab's control groups, on the cgroup2 tree only: `cgroup.freeze` and `cgroup.kill` need no controller, and a frozen
 * task of this tree can be killed (one frozen by the v1 freezer cannot).
 */
import { existsSync, readFileSync, readdirSync, rmdirSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'

/**
 * How long the kernel may take to kill or freeze every process. Measured: 1 to 460 ms; but one that waits for a disk ends
 * when the disk has answered, and a crowded one was seen to take longer than 20 s.
 */
const SETTLE_MS_MAX = 120_000
/** Of a process that does not die: enough to see which file system or device it waits for. */
const STACK_LINES = 12

export function cgroupRoot(): Result<string> {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ')
    if (after?.startsWith('cgroup2 ') !== true) continue
    const place = before?.split(' ')[4]
    if (place !== undefined) return ok(place)
  }
  const hint = 'Mount it: mount -t cgroup2 cgroup2 /sys/fs/cgroup (or use a Debian with systemd).'
  return fail(failure('conflict', 'this machine has no cgroup2 file system', { hint }))
}

/** The lab's own folder in the tree, or that of one of its members (a host, the client, the forwarder). */
export function cgroupFolder(root: string, lab: string, member?: string): string {
  return member === undefined ? join(root, `stead-${lab}`) : join(root, `stead-${lab}`, member)
}

export function createCgroup(folder: string): Result<void> {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    return fail(
      failure('conflict', `cannot make the control group ${folder}`, { hint: 'The lab must be run by root.', cause }),
    )
  }
  if (existsSync(join(folder, 'cgroup.kill'))) return ok()
  return fail(failure('conflict', 'this kernel has no cgroup.kill', { hint: 'Linux 5.14 or newer is needed.' }))
}

/** Process ids, as this machine sees them, of a group and all groups in it. Empty when the group does not exist. */
export function processesOf(folder: string): number[] {
  const pids: number[] = []
  try {
    const text = readFileSync(join(folder, 'cgroup.procs'), 'utf8')
    pids.push(...text.split('\n').filter(Boolean).map(Number))
    for (const child of subgroups(folder)) pids.push(...processesOf(child))
  } catch (cause) {
    if (!isGone(cause)) throw cause
  }
  return pids
}

export async function setFrozen(folder: string, frozen: boolean): Promise<Result<void>> {
  writeFileSync(join(folder, 'cgroup.freeze'), frozen ? '1' : '0')
  if (await settles(folder, 'frozen', frozen ? '1' : '0')) return ok()
  const what = frozen ? 'freeze' : 'thaw'
  return fail(failure('timeout', `the processes did not ${what} within ${SETTLE_MS_MAX / 1000} s`))
}

export function isFrozen(folder: string): boolean {
  return readEvent(folder, 'frozen') === '1'
}

/**
 * Kills every process of the group, frozen or not, and returns when the kernel says that none is left. What containers of the
 * group have frozen by the v1 freezer is below `freezer` and dies once it is thawed.
 */
export async function killGroup(folder: string, freezer?: string): Promise<Result<void>> {
  if (!existsSync(folder)) return ok()
  try {
    writeFileSync(join(folder, 'cgroup.kill'), '1')
  } catch (cause) {
    if (!isGone(cause)) throw cause
    return ok()
  }
  if (freezer !== undefined) thaw(freezer)
  if (await settles(folder, 'populated', '0')) return ok()
  const left = processesOf(folder).map(describe).join(', ')
  return fail(
    failure('timeout', `processes survive SIGKILL in ${folder}: ${left}`, { hint: 'They hang in the kernel.' }),
  )
}

/** Its id, name, state and where in the kernel it waits. */
function describe(pid: number): string {
  const read = (file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8')
    } catch {
      return ''
    }
  }
  const [, name = '?', state = '?'] = /\((.*)\) (.)/s.exec(read('stat')) ?? []
  const stack = read('stack').split('\n').filter(Boolean).slice(0, STACK_LINES)
  return `${pid} (${name}, ${state}${stack.map((line) => `, ${line.replace(/^\[<0>\] /, '')}`).join('')})`
}

function thaw(folder: string): void {
  if (!existsSync(folder)) return
  try {
    for (const child of subgroups(folder)) thaw(child)
    writeFileSync(join(folder, 'freezer.state'), 'THAWED')
  } catch (cause) {
    if (!isGone(cause)) throw cause
  }
}

/** Removes an empty group with all groups in it. */
export async function removeCgroup(folder: string): Promise<Result<void>> {
  const end = performance.now() + SETTLE_MS_MAX
  for (;;) {
    try {
      for (const child of existsSync(folder) ? subgroups(folder) : []) {
        const removed = await removeCgroup(child)
        if (!removed.ok) return removed
      }
      if (existsSync(folder)) rmdirSync(folder)
      return ok()
    } catch (cause) {
      if (isGone(cause)) return ok()
      // EBUSY right after a kill: a zombie still waits for its parent.
      if (performance.now() > end) return fail(failure('timeout', `cannot remove ${folder}`, { cause }))
      await delay(5)
    }
  }
}

export function subgroups(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name))
}

async function settles(folder: string, key: string, value: string): Promise<boolean> {
  const end = performance.now() + SETTLE_MS_MAX
  while (performance.now() < end) {
    const now = readEvent(folder, key)
    if (now === undefined || now === value) return true
    await delay(2)
  }
  return false
}

function readEvent(folder: string, key: string): string | undefined {
  try {
    const text = readFileSync(join(folder, 'cgroup.events'), 'utf8')
    return new RegExp(`^${key} (\\d)$`, 'm').exec(text)?.[1]
  } catch (cause) {
    if (isGone(cause)) return undefined
    throw cause
  }
}

export function isGone(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR' || code === 'ESRCH'
}
