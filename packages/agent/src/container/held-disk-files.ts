/** The folder of one disk of a container, and what is written down of it: which loop device it is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Result } from '@stead/core/result.ts'
import { readRecordFile } from '../process/record-file.ts'
import type { LoopDevice } from './loop-device.ts'

export interface HeldDiskRecord {
  readonly version: 1
  /** Loop devices are told apart within one boot only. */
  readonly bootId: string
  readonly loop: LoopDevice
}

export interface HeldDiskFiles {
  readonly recordFile: string
  readonly pidFile: string
  readonly controlSocket: string
  readonly fuseFolder: string
  readonly disk: string
  readonly stdoutLog: string
  readonly stderrLog: string
}

export function filesIn(folder: string): HeldDiskFiles {
  const fuseFolder = join(folder, 'fuse')
  return {
    recordFile: join(folder, 'disk.json'),
    pidFile: join(folder, 'disk.pid'),
    controlSocket: join(folder, 'disk.sock'),
    fuseFolder,
    disk: join(fuseFolder, 'disk'),
    stdoutLog: join(folder, 'stdout.log'),
    stderrLog: join(folder, 'stderr.log'),
  }
}

export function readRecord(files: HeldDiskFiles): Result<HeldDiskRecord | undefined> {
  return readRecordFile<HeldDiskRecord>(
    files.recordFile,
    ({ version, loop }) => version === 1 && Boolean(loop?.sequence),
  )
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
