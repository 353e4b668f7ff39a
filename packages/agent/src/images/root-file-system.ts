/** An ext4 image of a folder, hardly larger than what is in it; nothing is mounted for that. */
import { join } from 'node:path'
import { lstat } from 'node:fs/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ScratchEnd, ScratchNamespace } from './scratch-namespace.ts'

const MIB = 2 ** 20
const BLOCK = 4096
const GROUP_BLOCKS = 32_768
const INODE_BYTES = 256
/** Each further group of a larger volume has as many: one for 16 KiB, as by default, however small the template is. */
const GROUP_INODES = 8_192
const GROUP_INODES_MAX = 65_536 - 16
/** A volume of up to 1 TiB finds room for its group descriptors where they are; beyond, resize2fs moves blocks. */
const RESIZE_BLOCKS = 2 ** 40 / BLOCK
const RESERVED_BLOCKS = 130
const SLACK_BLOCKS = 64
const TRIES = 4
const TIMEOUT_MS = 20 * 60_000

export interface RootContents {
  readonly files: number
  readonly bytes: number
  /** What they need on ext4. */
  readonly blocks: number
}

/** `folder`: of the host. */
export async function measureRoot(scratch: ScratchNamespace, folder: string): Promise<Result<RootContents>> {
  const { child, ended } = await scratch.start({
    command: ['find', '/root', '-mindepth', '1', '-printf', '%y %n %i %s %b\\n'],
    folders: { root: folder },
    timeoutMs: TIMEOUT_MS,
  })
  let [files, bytes, blocks] = [0, 0, 0]
  const linked = new Set<string>()
  let rest = ''
  for await (const part of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + part).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [type = '', links, inode = '', size, halfKib] = line.split(' ')
      if (type !== 'd' && links !== '1') {
        if (linked.has(inode)) continue
        linked.add(inode)
      }
      files += 1
      if (type === 'd') blocks += Math.ceil(Number(size) / BLOCK) + 1
      if (type === 'l' && Number(size) >= 60) blocks += 1
      if (type !== 'f') continue
      bytes += Number(size)
      // A file with holes takes less than its length.
      blocks += Math.min(Math.ceil(Number(size) / BLOCK), Math.ceil(Number(halfKib) / 8) + 1)
    }
  }
  const end = await ended
  return end.ok ? ok({ files, bytes, blocks }) : fail(hostFailure('The content could not be measured', end))
}

/** `image`: an empty file of the namespace's, in `imageFolder`. The value is its size. */
export async function makeRootImage(
  scratch: ScratchNamespace,
  wanted: { readonly root: string; readonly imageFolder: string; readonly contents: RootContents },
): Promise<Result<{ readonly path: string; readonly sizeBytes: number }>> {
  const { root, imageFolder, contents } = wanted
  const path = join(imageFolder, 'root.ext4')
  for (let attempt = 0, data = contents.blocks; attempt < TRIES; attempt++, data = Math.ceil(data * 1.15)) {
    const { blocks, inodes, journalMib } = layoutFor(data, contents.files)
    const made = await scratch.run({
      command: [
        ...['mke2fs', '-q', '-F', '-t', 'ext4', '-b', String(BLOCK), '-I', String(INODE_BYTES), '-N', String(inodes)],
        // Blocks are reserved for the host's root, who is not the container's.
        ...['-m', '0', '-J', `size=${journalMib}`],
        // The file is new: what is not written is zero.
        ...['-E', `resize=${RESIZE_BLOCKS},root_owner=0:0,assume_storage_prezeroed=1,nodiscard`],
        ...['-d', '/root', '/image/root.ext4', String(blocks)],
      ],
      folders: { root, image: imageFolder },
      timeoutMs: TIMEOUT_MS,
      fileBytesMax: blocks * BLOCK,
    })
    if (made.ok) {
      if (!(await lstat(path)).isFile()) return fail(failure('invalid_image', 'The image could not be made'))
      return ok({ path, sizeBytes: blocks * BLOCK })
    }
    // Extended attributes and deep trees of extents were not counted.
    if (!/Could not allocate|allocate block in ext|No free inodes/i.test(made.complaint))
      return fail(hostFailure('The image could not be made', made))
  }
  return fail(failure('internal', 'The image could not be made: its size could not be told'))
}

function layoutFor(dataBlocks: number, files: number): { blocks: number; inodes: number; journalMib: number } {
  const journalMib = dataBlocks < (64 * MIB) / BLOCK ? 4 : 16
  const content = Math.ceil(dataBlocks * 1.01) + SLACK_BLOCKS + (journalMib * MIB) / BLOCK
  let blocks = content
  let groupInodes = GROUP_INODES
  // Groups need room for their own tables, which may need another group.
  for (let round = 0; round < 8; round++) {
    const groups = Math.ceil(blocks / GROUP_BLOCKS)
    groupInodes = Math.min(GROUP_INODES_MAX, Math.max(GROUP_INODES, Math.ceil((files + 16) / groups / 16 + 1) * 16))
    const tables = groups * ((groupInodes * INODE_BYTES) / BLOCK + 2)
    const needed = content + tables + copiesOfSuperblock(groups) * RESERVED_BLOCKS
    if (needed <= blocks) break
    blocks = needed
  }
  blocks = Math.ceil((blocks * BLOCK) / MIB) * (MIB / BLOCK)
  return { blocks, inodes: Math.ceil(blocks / GROUP_BLOCKS) * groupInodes, journalMib }
}

/** In groups 0, 1 and the powers of 3, 5 and 7. */
function copiesOfSuperblock(groups: number): number {
  let copies = Math.min(groups, 2)
  for (const base of [3, 5, 7]) for (let group = base; group < groups; group *= base) copies += 1
  return copies
}

/** Without the paths of this host. */
export function hostFailure(what: string, end: ScratchEnd) {
  if (/No space left|ENOSPC|Disk quota/i.test(end.complaint))
    return failure('no_capacity', 'There is no room on this host to unpack the archive', {
      hint: "Free space under the agent's state folder, or import at another host.",
      cause: end.complaint,
    })
  if (end.timedOut) return failure('timeout', `${what} in time`, { cause: end.complaint })
  return failure('invalid_image', `${what}: ${end.complaint.split('\n').slice(0, 3).join('; ').slice(0, 500)}`, {
    cause: end.complaint,
  })
}
