/**
 * What a template holds, unpacked once for each pool: new containers are snapshots of it, made in milliseconds. A template is
 * an ext4 image of our own making (docs/internals/images.md); it is mounted for the copy alone, seen by nobody else.
 */
import { existsSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { cloneSubvolume, deleteSubvolume, makeSubvolume } from './btrfs.ts'
import type { SubvolumeFolder } from './subvolume-folder.ts'

const UNPACK_TIMEOUT_MS = 20 * 60_000

/** Owners, modes, times, links, holes, extended attributes and ACLs as they are. `lost+found` is ext4's own. */
const UNPACK = `set -e
mount -t ext4 -o loop,ro,nodev,nosuid,noexec "$1" /mnt
cp --archive --one-file-system /mnt/. "$2"
rmdir "$2/lost+found" 2>/dev/null || true`

/** Not for two of one digest at once. `image`: path of the template's raw image. Returns the subvolume. */
export async function templateSubvolume(
  folder: SubvolumeFolder,
  blob: BlobId,
  image: () => Promise<Result<string>>,
): Promise<Result<string>> {
  const path = folder.template(digestOf(blob))
  if (existsSync(path)) return ok(path)
  const file = await image()
  if (!file.ok) return file
  const draft = `${path}.new`
  // Left over by an agent that died in the middle.
  const cleared = await deleteSubvolume(draft)
  const made = cleared.ok ? await makeSubvolume(draft) : cleared
  if (!made.ok) return made
  const args = ['--mount', '--propagation', 'private', '--', 'sh', '-c', UNPACK, 'sh', file.value, draft]
  const unpacked = await runProgram('unshare', args, UNPACK_TIMEOUT_MS)
  // A snapshot of the draft appears whole or not at all.
  const done = unpacked.ok ? await cloneSubvolume(draft, path, 'read-only') : unpackingFailed(unpacked.error)
  await deleteSubvolume(draft)
  return done.ok ? ok(path) : done
}

/** Removes those whose image is nowhere on this host any more: what was made from them shares their blocks and stays. */
export async function sweepTemplates(folder: SubvolumeFolder, isKept: (blob: BlobId) => boolean): Promise<void> {
  for (const digest of folder.templates)
    if (!isKept(`sha256:${digest}` as BlobId)) await deleteSubvolume(folder.template(digest))
}

function digestOf(blob: BlobId): string {
  return blob.slice('sha256:'.length)
}

function unpackingFailed(cause: { readonly message: string }): Result<never> {
  const isFull = /No space left|Disk quota exceeded/.test(cause.message)
  return fail(
    failure(isFull ? 'no_capacity' : 'storage', `The template could not be unpacked: ${cause.message}`, { cause }),
  )
}
