/**
 * Loop devices: attached, told apart, detached. A device's number is used again by whoever asks next, so one is known by the
 * number that the kernel counts up with every attachment.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'

export interface LoopDevice {
  /** `/dev/loop3` */
  readonly path: string
  /** `/sys/block/loop3/diskseq`, as text: 64 bits. Unique until the host boots anew. */
  readonly sequence: string
}

const TIMEOUT_MS = 10_000
/** What `stead-disk` takes at once: larger requests would only be cut in two. */
const REQUEST_KIB_MAX = 1024
/** The kernel lets nobody at the device for about 10 ms while it takes that: not while a container waits for its root. */
const START_MS = 1_000

/** With direct I/O: the file's data is cached once, above the device. */
export async function attachLoop(file: string): Promise<Result<LoopDevice>> {
  const attached = await runProgram('losetup', ['--find', '--show', '--direct-io=on', file], TIMEOUT_MS)
  if (!attached.ok) return attached
  const path = attached.value.output.trim()
  const sequence = fact(path, 'diskseq')
  if (sequence === undefined) return fail(failure('internal', `${path} is gone as soon as it was attached`))
  const loop = { path, sequence }
  setTimeout(() => void limitRequests(loop), START_MS).unref()
  return ok(loop)
}

/** Where it fails, the disk is slower, and right all the same. */
async function limitRequests(loop: LoopDevice): Promise<void> {
  if (!isAttached(loop)) return
  const file = `/sys/block/${basename(loop.path)}/queue/max_sectors_kb`
  await writeFile(file, String(REQUEST_KIB_MAX)).catch(() => undefined)
}

export function isAttached(loop: LoopDevice): boolean {
  return fact(loop.path, 'diskseq') === loop.sequence && fact(loop.path, 'loop/backing_file') !== undefined
}

/** As large as its file is now. */
export async function growLoop(loop: LoopDevice): Promise<Result<void>> {
  const grown = await runProgram('losetup', ['--set-capacity', loop.path], TIMEOUT_MS)
  return grown.ok ? ok() : grown
}

/** At once, or when the last who uses it lets go. */
export async function releaseLoop(loop: LoopDevice): Promise<Result<void>> {
  if (!isAttached(loop)) return ok()
  const released = await runProgram('losetup', ['--detach', loop.path], TIMEOUT_MS)
  return released.ok || !isAttached(loop) ? ok() : released
}

/** True when the device is free within the time. Nothing tells, so it is looked at. */
export async function waitDetached(loop: LoopDevice, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (isAttached(loop)) {
    if (performance.now() >= deadline) return false
    await sleep(5)
  }
  return true
}

/** All devices whose file has this path, as the kernel tells it. */
export function loopsOf(file: string): readonly LoopDevice[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name) => {
      const path = `/dev/${name}`
      const [sequence, backing] = [fact(path, 'diskseq'), fact(path, 'loop/backing_file')]
      return sequence !== undefined && backing === file ? [{ path, sequence }] : []
    })
}

function fact(path: string, name: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${basename(path)}/${name}`, 'utf8').trim()
  } catch {
    return undefined
  }
}
