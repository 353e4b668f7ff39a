/** Arithmetic on byte ranges. All offsets and lengths are bytes. */
import type { ByteRange } from '@stead/core/ports/volume-host.ts'

/** What dirty bitmaps and digests tell apart. */
export const BLOCK_BYTES = 64 * 1024

/** Grows each range to whole blocks within `sizeBytes`, sorts them and joins those that touch. */
export function normalizeRanges(ranges: readonly ByteRange[], sizeBytes: number): ByteRange[] {
  const blocks = ranges
    .map(({ offset, length }) => ({
      start: Math.floor(offset / BLOCK_BYTES) * BLOCK_BYTES,
      end: Math.min(Math.ceil((offset + length) / BLOCK_BYTES) * BLOCK_BYTES, sizeBytes),
    }))
    .filter(({ start, end }) => end > start)
    .toSorted((a, b) => a.start - b.start)
  const merged: { start: number; end: number }[] = []
  for (const block of blocks) {
    const last = merged.at(-1)
    if (last && block.start <= last.end) last.end = Math.max(last.end, block.end)
    else merged.push({ ...block })
  }
  return merged.map(({ start, end }) => ({ offset: start, length: end - start }))
}

export function totalLength(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0)
}

/** Cuts each range at multiples of `step` counted from its own start. */
export function* cut(ranges: readonly ByteRange[], step: number): Generator<ByteRange> {
  for (const { offset, length } of ranges) {
    for (let done = 0; done < length; done += step)
      yield { offset: offset + done, length: Math.min(step, length - done) }
  }
}
