/**
 * `guests/<id>/`: what a run leaves on disk so that a restarted agent finds and understands its QEMU.
 *
 *   launch.json   what was started and which node belongs to which host's leg; written before QEMU starts
 *   qemu.pid      pid and start time of the process
 *   run/          owned by the guests' user: QEMU creates its sockets in it: `qmp.sock`, `tty.sock` (serial console),
 *                 `vnc.sock` (screen), `agent.sock` of the guest's agent
 *   frozen        while the guest's file systems are frozen; see `QemuGuestAgent`
 *   migration/    the key of a migration that is under way; QEMU may read it
 *   console.log   serial console of the present boot; console.1.log: of the one before
 *   stderr.log    what QEMU itself says
 */
import { chownSync, closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { readRecordFile, writeRecordFile } from '../process/record-file.ts'
import { newDiskRecord, type DiskRecord } from './block-graph.ts'

export interface LaunchRecord {
  readonly version: 1
  readonly launch: GuestLaunch
  readonly disks: readonly DiskRecord[]
  /**
   * The versioned machine that QEMU was told to be, `pc-q35-10.0`: a migration's destination makes the same. Absent: it
   * was started before places were fixed, and has no ports for hot-plug.
   */
  readonly machine?: string
  /** Disks that are being plugged in or taken down: their nodes may exist in part. */
  readonly unfinished?: readonly DiskRecord[]
  /** How many media were put into CD drives since the start: their nodes are numbered and no name is used twice. */
  readonly mediaChanges?: number
  /** How many processors this process has ever made, those given back included; see `GuestGrowth`. */
  readonly cpusMade?: number
  /** Wall clock, ms; for people. */
  readonly startedAt: number
}

export interface GuestFolder {
  readonly path: string
  readonly launchFile: string
  readonly pidFile: string
  readonly runFolder: string
  readonly qmpSocket: string
  readonly agentSocket: string
  readonly frozenNote: string
  /** Of a guest with a TPM: where swtpm keeps its state, its control socket, and the copy for the volume. */
  readonly tpmFolder: string
  readonly tpmSocket: string
  readonly tpmSlot: string
  readonly migrationFolder: string
  /** See `leg-keys.ts`. */
  readonly legKeysFolder: string
  /** Through which a guest's memory goes into an image, or comes out of one. */
  readonly imageSocket: string
  readonly serialSocket: string
  readonly vncSocket: string
  readonly consoleLog: string
  readonly previousConsoleLog: string
  readonly stdoutLog: string
  readonly stderrLog: string
}

/** The kernel's limit of a unix socket's path, without the closing zero. */
const SOCKET_PATH_BYTES_MAX = 107

export function guestFolder(guestsFolder: string, guest: string): GuestFolder {
  const path = join(guestsFolder, guest)
  const runFolder = join(path, 'run')
  return {
    path,
    launchFile: join(path, 'launch.json'),
    pidFile: join(path, 'qemu.pid'),
    runFolder,
    qmpSocket: join(runFolder, 'qmp.sock'),
    agentSocket: join(runFolder, 'agent.sock'),
    frozenNote: join(path, 'frozen'),
    tpmFolder: join(runFolder, 'tpm'),
    tpmSocket: join(runFolder, 'tpm.sock'),
    tpmSlot: join(runFolder, 'tpm.slot'),
    migrationFolder: join(path, 'migration'),
    legKeysFolder: join(path, 'leg-keys'),
    imageSocket: join(runFolder, 'image.sock'),
    serialSocket: join(runFolder, 'tty.sock'),
    vncSocket: join(runFolder, 'vnc.sock'),
    consoleLog: join(path, 'console.log'),
    previousConsoleLog: join(path, 'console.1.log'),
    stdoutLog: join(path, 'stdout.log'),
    stderrLog: join(path, 'stderr.log'),
  }
}

export function newLaunchRecord(launch: GuestLaunch, machine: string, wallMs: number): LaunchRecord {
  const disks = launch.disks.map((disk, position) => newDiskRecord(disk, disk.slot ?? position))
  const made = launch.cpusMax === undefined ? {} : { cpusMade: launch.cpus }
  return { version: 1, launch, machine, disks, ...made, startedAt: wallMs }
}

export function socketPathProblem(path: string): Failure | undefined {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return undefined
  return failure('internal', `The path ${path} is too long for a unix socket`, {
    hint: 'Use a state folder with a shorter path',
  })
}

/**
 * Makes the folder ready for a new QEMU: no stale socket, the last console kept as `console.1.log`, and only what
 * QEMU must write owned by its user. A QEMU that was taken over cannot reach the pid file or `launch.json`.
 */
export function prepareFolder(
  folder: GuestFolder,
  user: { readonly uid: number; readonly gid: number } | undefined,
): Result<void> {
  const tooLong = socketPathProblem(folder.agentSocket)
  if (tooLong) return fail(tooLong)
  try {
    mkdirSync(folder.path, { recursive: true, mode: 0o755 })
    rmSync(folder.runFolder, { recursive: true, force: true })
    mkdirSync(folder.runFolder, { mode: 0o700 })
    for (const path of [folder.pidFile, folder.frozenNote]) rmSync(path, { force: true })
    rotate(folder.consoleLog, folder.previousConsoleLog)
    closeSync(openSync(folder.consoleLog, 'w', 0o640))
    if (user) for (const path of [folder.runFolder, folder.consoleLog]) chownSync(path, user.uid, user.gid)
    return ok()
  } catch (cause) {
    return fail(failure('internal', `Cannot prepare ${folder.path}`, { cause }))
  }
}

function rotate(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    // The first boot has no earlier console.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

export function writeLaunchRecord(folder: GuestFolder, record: LaunchRecord): Result<void> {
  return writeRecordFile(folder.launchFile, record)
}

/** Undefined when there is none; a failure when it cannot be read as a record. */
export function readLaunchRecord(folder: GuestFolder): Result<LaunchRecord | undefined> {
  return readRecordFile<LaunchRecord>(
    folder.launchFile,
    ({ version, launch, disks }) => version === 1 && Boolean(launch?.guest) && Array.isArray(disks),
  )
}

export function removeLaunchRecord(folder: GuestFolder): void {
  const { launchFile, pidFile, frozenNote, migrationFolder, legKeysFolder } = folder
  for (const path of [launchFile, pidFile, frozenNote, migrationFolder, legKeysFolder])
    rmSync(path, { force: true, recursive: true })
}

/** The last lines that QEMU wrote to its standard error, for the reason of a failure. */
export function lastWords(folder: Pick<GuestFolder, 'stderrLog'>): string {
  try {
    return readFileSync(folder.stderrLog, 'utf8').trim().split('\n').slice(-3).join(' | ').slice(-600)
  } catch {
    // No file: it never started far enough to say anything.
    return ''
  }
}
