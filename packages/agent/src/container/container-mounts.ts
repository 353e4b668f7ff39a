/** Disks that appear in a running container, or go from it: the TypeScript side of native/stead-mount.c. */
import { readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'

const TIMEOUT_MS = 10_000
/** stead-mount's own: somebody uses it. */
const BUSY = 3

/** `source` is a mount of the host; `init` the host's pid of the container's init. */
export async function showMount(
  nativeDir: string,
  { init, source, target }: { readonly init: number; readonly source: string; readonly target: string },
): Promise<Result<void>> {
  const shown = await runProgram(join(nativeDir, 'stead-mount'), ['show', String(init), source, target], TIMEOUT_MS)
  if (shown.ok) return ok()
  return fail(failure('conflict', `it cannot be mounted on ${target}: ${shown.error.message}`, { cause: shown.error }))
}

/**
 * From the container's mount namespace and those that its processes have made; from all or, with `conflict`, from none. `keeper`:
 * the host's pid of what started the container.
 */
export async function hideMount(
  nativeDir: string,
  {
    device,
    keeper,
    processes,
  }: { readonly device: string; readonly keeper: number; readonly processes: Iterable<number> },
): Promise<Result<void>> {
  const args = ['hide', device, String(keeper), ...onePerNamespace(processes).map(String)]
  const hidden = await runProgram(join(nativeDir, 'stead-mount'), args, TIMEOUT_MS, { accepted: [0, BUSY] })
  if (!hidden.ok) return hidden
  return hidden.value.status === 0 ? ok() : fail(inUse())
}

export function inUse() {
  return failure('conflict', 'a process in the container uses it', {
    hint: 'See which inside it: a shell whose folder it is, an open file, a mount over it',
  })
}

/** `major:minor` of what is mounted there, as the kernel writes it; its encoding of 32 bits (MKDEV of glibc). */
export function deviceOf(mount: string): string {
  const { dev } = statSync(mount)
  return `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`
}

function onePerNamespace(processes: Iterable<number>): readonly number[] {
  const found = new Map<string, number>()
  for (const pid of processes) {
    try {
      const namespace = readlinkSync(`/proc/${pid}/ns/mnt`)
      if (!found.has(namespace)) found.set(namespace, pid)
    } catch {
      // It has ended.
    }
  }
  return [...found.values()]
}
