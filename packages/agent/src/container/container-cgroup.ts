/**
 * Where a container's control groups are, and what is done to them as a whole: freezing, listing, removing. Limits and counters
 * are elsewhere. Works on cgroup v1, v2 and both at once.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { groupsIn, processesOf, type ControllerFolder } from './cgroups/cgroup-tree.ts'

const FREEZE_TIMEOUT_MS = 5_000
const REMOVE_TIMEOUT_MS = 2_000

/** The groups that `pid` is in, in each hierarchy that is mounted here. Empty when there is no such process. */
export function cgroupFoldersOf(pid: number | 'self'): readonly ControllerFolder[] {
  const mounted = cgroupMounts()
  return readOr(`/proc/${pid}/cgroup`, '')
    .split('\n')
    .flatMap((line) => {
      const [, controllers, ...rest] = line.split(':')
      const path = rest.join(':')
      const mount = controllers === undefined ? undefined : mounted.get(firstOf(controllers))
      if (mount === undefined || controllers === undefined || !path) return []
      const below = mount.root === '/' ? path : path.startsWith(mount.root) ? path.slice(mount.root.length) : path
      return [{ controllers, folder: join(mount.place, below) }]
    })
}

/** Every group with this name beside `pid`'s own: what LXC made, or an earlier run left. */
export function namedCgroups(pid: number | 'self', name: string): readonly ControllerFolder[] {
  return cgroupFoldersOf(pid)
    .map(({ controllers, folder }) => ({ controllers, folder: join(folder, name) }))
    .filter(({ folder }) => existsSync(folder))
}

/** Host's pids of all processes in the group and in those below it. */
export function processesIn(folder: string): readonly number[] {
  return processesOf(groupsIn(folder))
}

/** Stops or continues every process. Resolves once the kernel says so. */
export async function setFrozen(groups: readonly ControllerFolder[], frozen: boolean): Promise<Result<void>> {
  const v1 = groups.find(({ controllers }) => controllers.split(',').includes('freezer'))
  const v2 = groups.find(({ controllers, folder }) => controllers === '' && existsSync(join(folder, 'cgroup.freeze')))
  const group = v1 ?? v2
  if (!group) {
    return fail(
      failure('conflict', 'The container has no control group that can be frozen', {
        hint: 'Mount the freezer controller',
      }),
    )
  }
  const wanted = v1 ? (frozen ? 'FROZEN' : 'THAWED') : frozen ? '1' : '0'
  const reached = (): boolean =>
    v1
      ? readOr(join(group.folder, 'freezer.state'), wanted).trim() === wanted
      : new RegExp(`^frozen ${wanted}$`, 'm').test(readOr(join(group.folder, 'cgroup.events'), `frozen ${wanted}`))
  const deadline = performance.now() + FREEZE_TIMEOUT_MS
  try {
    writeFileSync(join(group.folder, v1 ? 'freezer.state' : 'cgroup.freeze'), wanted)
    while (!reached()) {
      if (performance.now() > deadline)
        return fail(failure('timeout', `The container did not ${frozen ? 'freeze' : 'thaw'}`))
      await sleep(2)
    }
  } catch (cause) {
    return fail(failure('conflict', 'The container has no control group any more: it has ended', { cause }))
  }
  return ok()
}

/** Removes the groups and those below. A zombie that still waits for its parent holds one for a moment. */
export async function removeCgroups(groups: readonly ControllerFolder[]): Promise<Result<void>> {
  const deadline = performance.now() + REMOVE_TIMEOUT_MS
  for (const { folder } of groups) {
    for (;;) {
      try {
        removeTree(folder)
        break
      } catch (cause) {
        if (performance.now() > deadline) {
          return fail(
            failure('conflict', `The control group ${folder} of an earlier run cannot be removed`, {
              cause,
              hint: `See which processes are in ${folder}/cgroup.procs`,
            }),
          )
        }
        await sleep(3)
      }
    }
  }
  return ok()
}

function removeTree(folder: string): void {
  for (const below of subfolders(folder)) removeTree(below)
  try {
    rmdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function subfolders(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name))
  } catch {
    return []
  }
}

/** By the first controller of each hierarchy; the v2 tree by the empty name. */
function cgroupMounts(): ReadonlyMap<string, { readonly place: string; readonly root: string }> {
  const found = new Map<string, { place: string; root: string }>()
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ')
    const fields = before?.split(' ') ?? []
    const [kind, , options] = after?.split(' ') ?? []
    const [root, place] = [fields[3], fields[4]]
    if (root === undefined || place === undefined) continue
    if (kind === 'cgroup2') found.set('', { place, root })
    if (kind === 'cgroup') for (const option of options?.split(',') ?? []) found.set(option, { place, root })
  }
  return found
}

function firstOf(controllers: string): string {
  return controllers.split(',')[0] ?? ''
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}
