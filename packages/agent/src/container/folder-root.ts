/**
 * A container's root that is a subvolume of this host: mounted where any other root is, and nothing else. No request of it
 * ever waits for another host, so nothing is held and nothing replayed. docs/internals/native-roots.md
 */
import { mkdirSync } from 'node:fs'
import { ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { isMounted, unmount, unmountLazily } from './container-file-system.ts'
import type { ContainerDisk } from './disk-front.ts'

const MOUNT_TIMEOUT_MS = 60_000
/** All that is in memory is written down, of the whole file system. */
const SYNC_TIMEOUT_MS = 120_000

export interface FolderRootOptions {
  /** The subvolume. */
  readonly source: string
  readonly mountFolder: string
  /** What ends whatever is left of a run looks for it: `clearHeldDisk`. */
  readonly diskFolder: string
}

export class FolderRoot implements ContainerDisk {
  readonly state = undefined
  readonly #mountFolder: string

  private constructor(mountFolder: string) {
    this.#mountFolder = mountFolder
  }

  static async start({ source, mountFolder, diskFolder }: FolderRootOptions): Promise<Result<FolderRoot>> {
    const cleared = await unmountLazily(mountFolder)
    if (!cleared.ok) return cleared
    for (const folder of [diskFolder, mountFolder]) mkdirSync(folder, { recursive: true, mode: 0o700 })
    // Not `nosuid`, as every root.
    const args = ['--no-canonicalize', '--options', 'bind,nodev,noatime', source, mountFolder]
    const mounted = await runProgram('mount', args, MOUNT_TIMEOUT_MS)
    return mounted.ok ? ok(new FolderRoot(mountFolder)) : mounted
  }

  /** Undefined when it is mounted no more. */
  static adopt({ mountFolder }: FolderRootOptions): FolderRoot | undefined {
    return isMounted(mountFolder) ? new FolderRoot(mountFolder) : undefined
  }

  async close(): Promise<Result<{ readonly clean: boolean }>> {
    const written = await runProgram('sync', ['--file-system', this.#mountFolder], SYNC_TIMEOUT_MS)
    const unmounted = await unmount(this.#mountFolder)
    if (unmounted.ok) return ok({ clean: written.ok })
    const killed = await this.kill()
    return killed.ok ? ok({ clean: false }) : killed
  }

  kill(): Promise<Result<void>> {
    return unmountLazily(this.#mountFolder)
  }

  async letGo(): Promise<Result<boolean>> {
    return ok(false)
  }

  // Nothing of it is ever held.

  async requireQuiet(): Promise<Result<void>> {
    return ok()
  }

  async hold(): Promise<Result<void>> {
    return ok()
  }

  async go(): Promise<Result<void>> {
    return ok()
  }

  async reconnect(): Promise<Result<void>> {
    return ok()
  }

  async freeze(): Promise<Result<void>> {
    return ok()
  }

  async thaw(): Promise<Result<void>> {
    return ok()
  }

  /** Its control groups alone limit it. */
  async limit(): Promise<Result<void>> {
    return ok()
  }

  async takeNewSize(): Promise<Result<void>> {
    return ok()
  }

  async growFileSystem(): Promise<Result<void>> {
    return ok()
  }

  dispose(): void {}
}
