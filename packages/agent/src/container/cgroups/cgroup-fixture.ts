/** Control groups of a test's own below each v1 hierarchy of this machine, with real processes, gone after the test. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ContainerCgroup } from './cgroup-files.ts'
import { cgroupMounts, type CgroupMounts } from './cgroup-tree.ts'
import { containerCgroup } from './cgroup-limits.ts'

let count = 0

export interface TestGroup {
  readonly mounts: CgroupMounts
  readonly folders: CgroupMounts['folders']
  readonly cgroup: ContainerCgroup
  /** A folder for files. */
  readonly scratch: string
  /** Runs a shell's line in the group; killed at the end. */
  readonly run: (line: string) => ChildProcess & { readonly pid: number }
}

/** Nothing where this machine has no v1 controllers, or the test no right to them. */
export function v1Group(t: TestContext): TestGroup | undefined {
  const mounts = cgroupMounts()
  if (!mounts.ok || mounts.value.family !== 'v1' || process.getuid?.() !== 0) return undefined
  const path = `stead-limits-test-${process.pid}-${(count += 1)}`
  const groups = Object.entries(mounts.value.folders).map(([controllers, place]) => ({
    controllers,
    folder: join(place, path),
  }))
  const folders: CgroupMounts['folders'] = Object.fromEntries(
    groups.map(({ controllers, folder }) => [controllers, folder]),
  )
  for (const folder of Object.values(folders)) mkdirSync(folder)
  for (const name of ['cpuset.cpus', 'cpuset.mems'])
    if (folders.cpuset !== undefined)
      writeFileSync(join(folders.cpuset, name), readFileSync(join(dirname(folders.cpuset), name)))
  const cgroup = containerCgroup(groups)
  const scratch = mkdtempSync(join(tmpdir(), 'stead-limits-'))
  const started: ChildProcess[] = []
  t.after(async () => {
    // A shell may have joined some of the groups only, where the kill does not look for it.
    for (const child of started) child.kill('SIGKILL')
    await kill(cgroup)
    for (const folder of Object.values(folders)) await until(() => removed(folder), `${folder} goes`)
    rmSync(scratch, { recursive: true })
  })
  const run = (line: string) => {
    const joining = Object.values(folders).map((folder) => `echo $$ > ${folder}/cgroup.procs`)
    const child = spawn('sh', ['-c', `${joining.join(' && ')} && { ${line}; }`], {
      stdio: ['ignore', 'ignore', 'ignore'],
      cwd: scratch,
    })
    assert.ok(child.pid !== undefined)
    started.push(child)
    return child as ChildProcess & { readonly pid: number }
  }
  return { mounts: mounts.value, folders, cgroup, scratch, run }
}

/** Until no process is left, as a fork may have been under way. */
export async function kill(cgroup: ContainerCgroup): Promise<void> {
  await until(() => {
    const pids = cgroup.processes()
    for (const pid of pids) signal(pid)
    return pids.length === 0
  }, 'the processes end')
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause
  }
}

export function removed(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

export async function until(isSo: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000
  while (!isSo()) {
    assert.ok(performance.now() < end, what)
    await delay(10)
  }
}
