/** `<container>/live`: what of a live move is on a host, in memory only: it has the container's memory in it. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Result } from '@stead/core/result.ts'
import { ok } from '@stead/core/result.ts'
import { runProgram } from '../../process/run-program.ts'
import { isMounted, unmountLazily } from '../container-file-system.ts'
import { readRecordFile, writeRecordFile } from '../../process/record-file.ts'
import type { StoppedContainer } from './checkpoint.ts'

const MOUNT_TIMEOUT_MS = 5_000
/** What CRIU writes beside the pages. */
const BESIDE_BYTES = 64 << 20

export const liveFolder = (container: string): string => join(container, 'live')
export const imagesFolder = (container: string): string => join(liveFolder(container), 'images')
export const scriptsFolder = (container: string): string => join(liveFolder(container), 'bin')
/** Beside it: it must outlive an agent, and tells the next one that the container was stopped. */
const stoppedFile = (container: string): string => join(container, 'stopped.json')

/** Nothing is in it. */
export async function makeImageFolder(container: string, memoryBytes: number): Promise<Result<void>> {
  const cleared = await clearImageFolder(container)
  if (!cleared.ok) return cleared
  const folder = liveFolder(container)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const options = `size=${memoryBytes + BESIDE_BYTES},mode=700,nodev,nosuid`
  const mounted = await runProgram('mount', ['-t', 'tmpfs', '-o', options, 'stead', folder], MOUNT_TIMEOUT_MS)
  if (!mounted.ok) return mounted
  mkdirSync(imagesFolder(container), { mode: 0o700 })
  return ok()
}

/** What is in it goes first: a mount namespace that has it still would keep the memory. */
export async function clearImageFolder(container: string): Promise<Result<void>> {
  const folder = liveFolder(container)
  if (!existsSync(folder)) return ok()
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true })
  const unmounted = isMounted(folder) ? await unmountLazily(folder) : ok()
  if (unmounted.ok) rmSync(folder, { recursive: true, force: true })
  return unmounted
}

export function noteStopped(container: string, stopped: StoppedContainer | undefined): Result<void> {
  if (stopped) return writeRecordFile(stoppedFile(container), stopped)
  rmSync(stoppedFile(container), { force: true })
  return ok()
}

/** Undefined when none of its processes were stopped for a move. */
export function readStopped(container: string): StoppedContainer | undefined {
  const read = readRecordFile<StoppedContainer>(stoppedFile(container), ({ stoppedBefore }) =>
    Array.isArray(stoppedBefore),
  )
  return read.ok ? read.value : { stoppedBefore: [] }
}
