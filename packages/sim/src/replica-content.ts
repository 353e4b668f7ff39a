/**
 * What a replica's disk holds, block by block, and what of it a loss of power would undo: a disk acknowledges writes
 * from its cache, and only a flush makes them last. Blocks are stored without the zeros at their end, so that a large
 * disk with little on it costs little.
 */
import type { ByteRange } from '@stead/core/ports/volume-host.ts'

const EMPTY = new Uint8Array()

export class ReplicaContent {
  sizeBytes: number
  readonly blockBytes: number
  /** Grows with every change of what can be read or of what would last. */
  version = 0
  readonly #blocks = new Map<number, Uint8Array>()
  /** Of each block written since the last flush: what it held then. */
  readonly #unflushed = new Map<number, Uint8Array>()

  constructor(sizeBytes: number, blockBytes: number) {
    this.sizeBytes = sizeBytes
    this.blockBytes = blockBytes
  }

  /** The block without the zeros at its end. Not a copy: for those who only look. */
  block(index: number): Uint8Array {
    return this.#blocks.get(index) ?? EMPTY
  }

  /** What the block would hold after a loss of power in the worst case. */
  flushedBlock(index: number): Uint8Array {
    return this.#unflushed.get(index) ?? this.block(index)
  }

  /** Replaces a whole block: what is given, then zeros. */
  setBlock(index: number, bytes: Uint8Array): void {
    this.version += 1
    if (!this.#unflushed.has(index)) this.#unflushed.set(index, this.block(index))
    if (bytes.length === 0) this.#blocks.delete(index)
    else this.#blocks.set(index, bytes.slice())
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const index = Math.floor((offset + done) / this.blockBytes)
      const start = (offset + done) % this.blockBytes
      const part = bytes.subarray(done, done + Math.min(bytes.length - done, this.blockBytes - start))
      const old = this.block(index)
      const next = new Uint8Array(Math.max(old.length, start + part.length))
      next.set(old)
      next.set(part, start)
      this.setBlock(index, next)
      done += part.length
    }
  }

  slice(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(end, this.sizeBytes) - start))
    for (let index = Math.floor(start / this.blockBytes); index * this.blockBytes < end; index++) {
      const at = index * this.blockBytes
      const block = this.block(index)
      const from = Math.max(start, at)
      const part = block.subarray(from - at, Math.max(from - at, Math.min(end - at, block.length)))
      bytes.set(part, from - start)
    }
    return bytes
  }

  flush(): void {
    this.version += 1
    this.#unflushed.clear()
  }

  /** Each block that was not flushed is kept or undone, as the disk's cache would have it. */
  losePower(isKept: () => boolean): void {
    this.version += 1
    for (const [index, old] of this.#unflushed) {
      if (isKept()) continue
      if (old.length === 0) this.#blocks.delete(index)
      else this.#blocks.set(index, old)
    }
    this.#unflushed.clear()
  }

  /** As it is now, flushed. */
  copy(): ReplicaContent {
    const copy = new ReplicaContent(this.sizeBytes, this.blockBytes)
    for (const [index, bytes] of this.#blocks) copy.#blocks.set(index, bytes)
    return copy
  }

  /** Holds from now on, flushed, what the other one does. */
  become(other: ReplicaContent): void {
    this.version += 1
    this.#blocks.clear()
    this.#unflushed.clear()
    for (const [index, bytes] of other.#blocks) this.#blocks.set(index, bytes)
  }

  equals(other: ReplicaContent): boolean {
    const indexes = new Set([...this.#blocks.keys(), ...other.#blocks.keys()])
    return [...indexes].every((index) => equalBlocks(this.block(index), other.block(index)))
  }
}

/** Equal but for zeros at the end. */
export function equalBlocks(a: Uint8Array, b: Uint8Array): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  for (let at = 0; at < long.length; at++) if ((short[at] ?? 0) !== long[at]) return false
  return true
}

/** Neighbouring blocks as one range; the last one ends with the volume. */
export function rangesOf(blocks: ReadonlySet<number>, sizeBytes: number, blockBytes: number): readonly ByteRange[] {
  const ranges: { offset: number; length: number }[] = []
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const offset = block * blockBytes
    const length = Math.min(blockBytes, sizeBytes - offset)
    const last = ranges.at(-1)
    if (last && last.offset + last.length === offset) last.length += length
    else ranges.push({ offset, length })
  }
  return ranges
}
