/**
 * What passes between the host that runs a shell and the one that a person reached: besides the terminal's bytes, its size
 * in one direction and the shell's end in the other. Each frame is one byte of kind, four of length and its content.
 */
import { SHELL_SIZE_MAX, type ShellSize } from '@stead/api/console-protocol.ts'

export type ShellFrame =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'size'; readonly size: ShellSize }
  /** The shell ended by itself. Absent at the end of a stream: what it ran in did, or the way to it broke. */
  | { readonly kind: 'exit'; readonly code: number }

const BYTES = 0
const SIZE = 1
const EXIT = 2
const HEAD_BYTES = 5
/** A WebSocket's message, the largest that is passed on as one. */
const FRAME_BYTES_MAX = 1 << 20

export function encodeShellFrame(frame: ShellFrame): Buffer {
  switch (frame.kind) {
    case 'bytes':
      return framed(BYTES, frame.bytes)
    case 'size': {
      const content = Buffer.alloc(4)
      content.writeUInt16BE(frame.size.columns, 0)
      content.writeUInt16BE(frame.size.rows, 2)
      return framed(SIZE, content)
    }
    case 'exit': {
      const content = Buffer.alloc(2)
      content.writeUInt16BE(frame.code, 0)
      return framed(EXIT, content)
    }
  }
}

/** Takes a stream in the pieces in which it comes, and gives the frames that are whole. Throws on what is no frame. */
export function shellFrameReader(): (piece: Buffer) => readonly ShellFrame[] {
  let held: Buffer = Buffer.alloc(0)
  return (piece) => {
    held = held.length === 0 ? piece : Buffer.concat([held, piece])
    const frames: ShellFrame[] = []
    while (held.length >= HEAD_BYTES) {
      const length = held.readUInt32BE(1)
      if (length > FRAME_BYTES_MAX) throw new Error(`a frame of ${length} bytes is too long for a shell's stream`)
      if (held.length < HEAD_BYTES + length) break
      frames.push(decoded(held.readUInt8(0), held.subarray(HEAD_BYTES, HEAD_BYTES + length)))
      held = held.subarray(HEAD_BYTES + length)
    }
    return frames
  }
}

function framed(kind: number, content: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(kind, 0)
  head.writeUInt32BE(content.length, 1)
  return Buffer.concat([head, content])
}

function decoded(kind: number, content: Buffer): ShellFrame {
  if (kind === BYTES) return { kind: 'bytes', bytes: content }
  if (kind === EXIT && content.length === 2) return { kind: 'exit', code: content.readUInt16BE(0) }
  if (kind === SIZE && content.length === 4) {
    const within = (count: number) => Math.min(Math.max(1, count), SHELL_SIZE_MAX)
    return { kind: 'size', size: { columns: within(content.readUInt16BE(0)), rows: within(content.readUInt16BE(2)) } }
  }
  throw new Error(`a shell's stream has no frame of kind ${kind} and ${content.length} bytes`)
}
