/** Digests of a replica's 64 KiB blocks, read over NBD: the daemon writes past the page cache, so no other way is current. */
import { hash } from 'node:crypto'
import type { ByteRange } from '@stead/core/ports/volume-host.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { NbdClient } from '../nbd/nbd-client.ts'
import { ALLOCATION_ZERO } from '../nbd/nbd-protocol.ts'
import { BLOCK_BYTES, cut } from './byte-ranges.ts'

export const ALLOCATION = 'base:allocation'

const READ_BYTES = 1024 * 1024
const READS_IN_FLIGHT = 4
const zeroDigests = new Map<number, string>()

/** SHA-256, base64, of each block. The client needs the context `base:allocation`; blocks never written are not read. */
export async function blockDigests(
  client: Pick<NbdClient, 'read' | 'blockStatus'>,
  range: ByteRange,
): Promise<Result<string[]>> {
  const status = await client.blockStatus(range.offset, range.length, ALLOCATION)
  if (!status.ok) return status
  const digests: string[] = Array.from({ length: Math.ceil(range.length / BLOCK_BYTES) })
  const end = range.offset + range.length
  const written = new Set<number>()
  for (const { offset, length, flags } of status.value) {
    if (flags & ALLOCATION_ZERO) continue
    const first = Math.floor((offset - range.offset) / BLOCK_BYTES)
    const last = Math.floor((offset + length - 1 - range.offset) / BLOCK_BYTES)
    for (let block = first; block <= last; block += 1) written.add(block)
  }
  for (let block = 0; block < digests.length; block += 1) {
    if (!written.has(block))
      digests[block] = zeroDigest(Math.min(BLOCK_BYTES, end - range.offset - block * BLOCK_BYTES))
  }
  const runs = blocksToRanges(written, range)
  const chunks = cut(runs, READ_BYTES)
  let failed: Result<never> | undefined
  const worker = async () => {
    for (const chunk of chunks) {
      const data = await client.read(chunk.offset, chunk.length)
      if (!data.ok) {
        failed ??= data
        return
      }
      for (let at = 0; at < chunk.length; at += BLOCK_BYTES) {
        digests[(chunk.offset + at - range.offset) / BLOCK_BYTES] = hash(
          'sha256',
          data.value.subarray(at, at + BLOCK_BYTES),
          'base64',
        )
      }
      if (failed) return
    }
  }
  await Promise.all(Array.from({ length: READS_IN_FLIGHT }, worker))
  return failed ?? ok(digests)
}

function blocksToRanges(blocks: ReadonlySet<number>, range: ByteRange): ByteRange[] {
  const ranges: { offset: number; length: number }[] = []
  for (const block of [...blocks].toSorted((a, b) => a - b)) {
    const offset = range.offset + block * BLOCK_BYTES
    const length = Math.min(BLOCK_BYTES, range.offset + range.length - offset)
    const last = ranges.at(-1)
    if (last && last.offset + last.length === offset) last.length += length
    else ranges.push({ offset, length })
  }
  return ranges
}

function zeroDigest(length: number): string {
  let digest = zeroDigests.get(length)
  if (digest === undefined) zeroDigests.set(length, (digest = hash('sha256', Buffer.alloc(length), 'base64')))
  return digest
}
