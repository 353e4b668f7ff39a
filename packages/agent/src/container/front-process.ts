/** The process of a container's front: started, before anything is served, and ended. */
import { rmSync } from 'node:fs'
import { ok, type Result } from '@stead/core/result.ts'
import { killDetached, startDetached, type DetachedProcess } from '../process/detached.ts'
import { keepingBuffers } from '../process/kept-buffers.ts'
import { writeRecordFile } from '../process/record-file.ts'
import { findProcess } from '../qemu/guest-process.ts'
import type { FrontOptions } from './container-front.ts'
import { frontArguments, frontFiles, newFrontRecord, prepareFrontFolder, type FrontLaunch } from './front-record.ts'

/**
 * The process of a front, which serves nothing yet: QEMU takes its time to be there, and waits for `ContainerFront.start` to
 * be told of the disks. An earlier front in this folder is killed first.
 */
export async function startFrontProcess(
  {
    folder,
    helper,
    qemu,
    user,
    namespacePid,
  }: Pick<FrontOptions, 'folder' | 'helper' | 'qemu' | 'user' | 'namespacePid'>,
  run: Omit<FrontLaunch, 'disks'>,
): Promise<Result<DetachedProcess>> {
  const files = frontFiles(folder)
  const ended = await endFront(folder)
  const prepared = ended.ok ? prepareFrontFolder(files, user) : ended
  const written = prepared.ok ? writeRecordFile(files.recordFile, newFrontRecord({ ...run, disks: [] })) : prepared
  if (!written.ok) return written
  return startDetached(helper, {
    command: qemu ?? 'qemu-system-x86_64',
    args: frontArguments(run.name, files.qmpSocket),
    pidFile: files.pidFile,
    stdoutPath: files.stdoutLog,
    stderrPath: files.stderrLog,
    env: keepingBuffers(),
    ...(namespacePid ? { namespacePid } : {}),
    ...(user ? { user } : {}),
  })
}

/** Kills whatever front lives in this folder, known or not, and forgets it. */
export async function endFront(folder: string): Promise<Result<void>> {
  const files = frontFiles(folder)
  const process = findProcess(files)
  const killed = process ? await killDetached(process, files.pidFile) : ok()
  if (killed.ok) for (const path of [files.recordFile, files.pidFile]) rmSync(path, { force: true })
  return killed
}
