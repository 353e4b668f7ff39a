/**
 * Whether this host's kernel, CRIU and LXC can really take a container along: one of no importance, of the kind that moves (with
 * ids of its own, on ext4), is begun, stopped, written down, ended and restored by the very steps of a move. A container may
 * still have something that CRIU cannot write down: then its move is called off, and it goes on where it was.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SCRATCH_ID_BASE } from '@stead/core/model/container.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { failure } from '@stead/core/errors.ts'
import { runProgram } from '../../process/run-program.ts'
import { isMounted, makeFileSystem, unmountLazily } from '../container-file-system.ts'
import { restoreContainer, startContainer } from '../lxc-start.ts'
import type { LxcContainer } from '../lxc-container.ts'
import { lxcPrograms, type LxcSpec } from '../lxc-spec.ts'
import { takeCheckpoint } from './checkpoint.ts'
import { whyIn } from './criu-complaint.ts'
import { clearImageFolder, imagesFolder, makeImageFolder } from './image-folder.ts'
import { lookBefore } from './look-before.ts'

const run = promisify(execFile)
const CHECK_TIMEOUT_MS = 20_000
const MOUNT_TIMEOUT_MS = 20_000
const ROOT_BYTES = 16 << 20

export type LiveMoveTrial =
  | { readonly possible: true; readonly version: string }
  | { readonly possible: false; readonly version: string | undefined; readonly reason: string }

export interface TrialPlace {
  readonly nativeDir: string
  /** Path of the program. */
  readonly criu: string
  /** For the trial alone; is made, and removed with all that is in it. */
  readonly folder: string
}

/** Takes some seconds, and leaves nothing behind. */
export async function tryLiveMove(place: TrialPlace): Promise<LiveMoveTrial> {
  let version: string | undefined
  try {
    const { stdout } = await run(place.criu, ['--version'], { timeout: CHECK_TIMEOUT_MS })
    version = /Version: (\S+)/.exec(stdout)?.[1] ?? 'unknown'
  } catch {
    return { possible: false, version, reason: 'CRIU is not installed' }
  }
  try {
    await run(place.criu, ['check'], { timeout: CHECK_TIMEOUT_MS, killSignal: 'SIGKILL' })
  } catch (error) {
    const { stderr = '', killed } = error as { stderr?: string; killed?: boolean }
    const said = killed ? 'it did not end in time' : whyIn(stderr) || 'no reason given'
    return { possible: false, version, reason: `CRIU ${version}, check: ${said}` }
  }
  const moved = await withContainer(place, (container, spec) => thereAndBack(place, container, spec))
  if (moved.ok) return { possible: true, version }
  return { possible: false, version, reason: `CRIU ${version}, trial: ${moved.error.message}` }
}

async function thereAndBack(place: TrialPlace, container: LxcContainer, spec: LxcSpec): Promise<Result<void>> {
  const links = await lookBefore(container, [])
  const made = links.ok ? await makeImageFolder(spec.folder, ROOT_BYTES) : links
  if (!links.ok || !made.ok) return made as Result<void>
  const how = { criu: place.criu, images: imagesFolder(spec.folder), hostEnds: [], links: links.value }
  const taken = await takeCheckpoint(container, how)
  const ended = await container.kill()
  if (!taken.ok || !ended.ok) return taken.ok ? ended : taken
  const restored = await restoreContainer(lxcPrograms(place.nativeDir), spec, { criu: place.criu })
  if (!restored.ok) return restored
  const lives = restored.value.initPid() !== undefined
  const over = await restored.value.kill()
  restored.value.close()
  return lives ? over : fail(failure('hypervisor', 'the restored container is not there'))
}

async function withContainer(
  { nativeDir, folder }: TrialPlace,
  work: (container: LxcContainer, spec: LxcSpec) => Promise<Result<void>>,
): Promise<Result<void>> {
  const spec = specOf(folder)
  const cleared = await clear(spec, folder)
  if (!cleared.ok) return cleared
  try {
    const root = await makeRoot(spec, nativeDir)
    const started = root.ok ? await startContainer(lxcPrograms(nativeDir), spec) : root
    if (!started.ok) return started
    const done = await work(started.value, spec)
    const ended = started.value.running ? await started.value.kill() : ok()
    started.value.close()
    return done.ok ? ended : done
  } finally {
    await clear(spec, folder)
  }
}

async function makeRoot({ rootPath, folder }: LxcSpec, nativeDir: string): Promise<Result<void>> {
  mkdirSync(rootPath, { recursive: true })
  const disk = join(folder, 'disk')
  const made = await runProgram('truncate', ['--size', String(ROOT_BYTES), disk], MOUNT_TIMEOUT_MS)
  const formatted = made.ok ? await makeFileSystem(disk, {}) : made
  if (!formatted.ok) return formatted
  const options = ['-t', 'ext4', '-o', 'loop,noatime,nodev', disk, rootPath]
  const mounted = await runProgram('mount', options, MOUNT_TIMEOUT_MS)
  if (!mounted.ok) return mounted
  for (const each of ['dev', 'proc', 'sys', 'etc']) mkdirSync(join(rootPath, each))
  copyFileSync(join(nativeDir, 'stead-container'), join(rootPath, 'init'))
  return ok()
}

async function clear({ rootPath, folder: container }: LxcSpec, folder: string): Promise<Result<void>> {
  const images = await clearImageFolder(container)
  const unmounted = isMounted(rootPath) ? await unmountLazily(rootPath) : ok()
  if (images.ok && unmounted.ok) rmSync(folder, { recursive: true, force: true })
  return images.ok ? unmounted : images
}

function specOf(folder: string): LxcSpec {
  const container = join(folder, 'c')
  return {
    ...{ id: 'stead-live-move-trial', name: 'trial', folder: container, guestsFolder: folder },
    rootPath: join(container, 'rootfs'),
    idBase: SCRATCH_ID_BASE,
    nesting: false,
    ...{ nics: [], nameservers: [], searchDomains: [], mounts: [], devices: [], limitLines: [] },
    haltSignal: 'SIGTERM',
    init: ['/init', 'idle'],
    namespacePid: 0,
    cgroup: 'stead-live-move-trial',
  }
}
