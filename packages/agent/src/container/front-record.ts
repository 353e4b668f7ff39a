/**
 * The folder of a container's front, and how its QEMU is started.
 *
 *   front.json    what was started and which node belongs to which host's leg; written before QEMU has such a node
 *   front.pid     pid and start time of the process
 *   run/          owned by the guests' user: `qmp.sock`, `nbd.sock`
 */
import { chownSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestDisk } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { readRecordFile } from '../process/record-file.ts'
import { newDiskRecord, type DiskRecord } from '../qemu/block-graph.ts'
import { escaped, SANDBOX } from '../qemu/launch-arguments.ts'
import { socketPathProblem } from '../qemu/launch-record.ts'

export interface FrontLaunch {
  readonly guest: GuestId
  readonly name: string
  readonly epoch: number
  readonly disks: readonly GuestDisk[]
}

export interface FrontRecord {
  readonly version: 1
  readonly launch: FrontLaunch
  readonly disks: readonly DiskRecord[]
  /** Wall clock, ms; for people. */
  readonly startedAt: number
}

export interface FrontFiles {
  readonly path: string
  readonly recordFile: string
  readonly pidFile: string
  readonly runFolder: string
  readonly legKeysFolder: string
  readonly qmpSocket: string
  readonly nbdSocket: string
  readonly stdoutLog: string
  readonly stderrLog: string
}

export function frontFiles(path: string): FrontFiles {
  const runFolder = join(path, 'run')
  return {
    path,
    recordFile: join(path, 'front.json'),
    pidFile: join(path, 'front.pid'),
    runFolder,
    legKeysFolder: join(path, 'leg-keys'),
    qmpSocket: join(runFolder, 'qmp.sock'),
    nbdSocket: join(runFolder, 'nbd.sock'),
    stdoutLog: join(path, 'stdout.log'),
    stderrLog: join(path, 'stderr.log'),
  }
}

export const exportName = (disk: DiskRecord): string => `d${disk.index}`

export function readFrontRecord(files: FrontFiles): Result<FrontRecord | undefined> {
  return readRecordFile<FrontRecord>(
    files.recordFile,
    ({ version, launch, disks }) => version === 1 && Boolean(launch?.guest) && Array.isArray(disks),
  )
}

export function prepareFrontFolder(
  files: FrontFiles,
  user: { readonly uid: number; readonly gid: number } | undefined,
): Result<void> {
  const tooLong = socketPathProblem(files.nbdSocket)
  if (tooLong) return fail(tooLong)
  try {
    mkdirSync(files.path, { recursive: true, mode: 0o755 })
    rmSync(files.runFolder, { recursive: true, force: true })
    mkdirSync(files.runFolder, { mode: 0o700 })
    rmSync(files.stderrLog, { force: true })
    if (user) chownSync(files.runFolder, user.uid, user.gid)
    return ok()
  } catch (cause) {
    return fail(failure('internal', `Cannot prepare ${files.path}`, { cause }))
  }
}

export function newFrontRecord(launch: FrontLaunch): FrontRecord {
  const disks = launch.disks.map((disk, position) => newDiskRecord(disk, disk.slot ?? position))
  return { version: 1, launch, disks, startedAt: Date.now() }
}

/** `-machine none` has no memory and no processor. The disks come over its monitor. */
export function frontArguments(name: string, qmpSocket: string): string[] {
  return [
    ...['-name', `guest=${escaped(name)},debug-threads=on`, '-machine', 'none', '-S'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-sandbox', SANDBOX, '-msg', 'timestamp=on'],
    ...['-chardev', `socket,id=qmp,path=${escaped(qmpSocket)},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control'],
  ]
}
