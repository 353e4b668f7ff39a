/**
 * Numbers and codecs of the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md): fixed newstyle handshake,
 * structured replies and meta contexts. Only what the client here uses.
 */

export const NBD_MAGIC = 0x4e42444d41474943n
export const OPTION_MAGIC = 0x49484156454f5054n
export const OPTION_REPLY_MAGIC = 0x3e889045565a9n
export const REQUEST_MAGIC = 0x25609513
export const SIMPLE_REPLY_MAGIC = 0x67446698
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef

/** Handshake flags; the client answers with the same bits. */
export const FLAG_FIXED_NEWSTYLE = 1
export const FLAG_NO_ZEROES = 2

export const OPTION_ABORT = 2
export const OPTION_STARTTLS = 5
export const OPTION_GO = 7
export const OPTION_STRUCTURED_REPLY = 8
export const OPTION_SET_META_CONTEXT = 10

export const REPLY_ACK = 1
export const REPLY_INFO = 3
export const REPLY_META_CONTEXT = 4
const REPLY_ERROR_BIT = 0x80000000
export const REPLY_ERROR_UNKNOWN_EXPORT = 0x80000006

export const INFO_EXPORT = 0
export const INFO_BLOCK_SIZE = 3

export const COMMAND_READ = 0
export const COMMAND_WRITE = 1
export const COMMAND_DISCONNECT = 2
export const COMMAND_FLUSH = 3
export const COMMAND_WRITE_ZEROES = 6
export const COMMAND_BLOCK_STATUS = 7

export const COMMAND_FLAG_FUA = 1
/** For WRITE_ZEROES: the range stays allocated. */
export const COMMAND_FLAG_NO_HOLE = 2

export const CHUNK_FLAG_DONE = 1
export const CHUNK_NONE = 0
export const CHUNK_OFFSET_DATA = 1
export const CHUNK_OFFSET_HOLE = 2
export const CHUNK_BLOCK_STATUS = 5
export const CHUNK_ERROR_BIT = 0x8000

/** Transmission flags of an export. */
export const EXPORT_READ_ONLY = 2

export const SIMPLE_REPLY_SIZE = 16
export const STRUCTURED_REPLY_SIZE = 20

/** Extent flags of `base:allocation`. */
export const ALLOCATION_HOLE = 1
export const ALLOCATION_ZERO = 2
/** Extent flag of `qemu:dirty-bitmap:NAME`. */
export const BITMAP_DIRTY = 1

const ERROR_NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
}

/** The protocol sends Linux numbers whatever the server's system is. */
export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `errno ${code}`
}

const OPTION_ERRORS: Readonly<Record<number, string>> = {
  1: 'unsupported',
  2: 'refused by policy',
  3: 'invalid',
  4: 'unsupported on this platform',
  5: 'TLS required',
  6: 'unknown export',
  7: 'server shuts down',
  8: 'block size required',
  9: 'too big',
}

export function isOptionError(type: number): boolean {
  return type >= REPLY_ERROR_BIT
}

export function optionErrorName(type: number): string {
  return OPTION_ERRORS[type - REPLY_ERROR_BIT] ?? `option error ${type - REPLY_ERROR_BIT}`
}

/** An error with an errno name in `code`, as Node's own socket errors have. */
export function errnoError(code: string, message: string): Error & { code: string } {
  return Object.assign(new Error(`${code}: ${message}`), { code })
}

export function encodeOption(option: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(16)
  header.writeBigUInt64BE(OPTION_MAGIC, 0)
  header.writeUInt32BE(option, 8)
  header.writeUInt32BE(payload.length, 12)
  return Buffer.concat([header, payload])
}

export function encodeGo(exportName: string): Buffer {
  const tail = Buffer.alloc(4)
  tail.writeUInt16BE(1, 0)
  tail.writeUInt16BE(INFO_BLOCK_SIZE, 2)
  return Buffer.concat([encodeString(exportName), tail])
}

export function encodeMetaContextQuery(exportName: string, contexts: readonly string[]): Buffer {
  const count = Buffer.alloc(4)
  count.writeUInt32BE(contexts.length)
  return Buffer.concat([encodeString(exportName), count, ...contexts.map(encodeString)])
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

export function encodeRequest(request: {
  readonly flags: number
  readonly command: number
  readonly cookie: bigint
  readonly offset: number
  readonly length: number
}): Buffer {
  const header = Buffer.allocUnsafe(28)
  header.writeUInt32BE(REQUEST_MAGIC, 0)
  header.writeUInt16BE(request.flags, 4)
  header.writeUInt16BE(request.command, 6)
  header.writeBigUInt64BE(request.cookie, 8)
  header.writeBigUInt64BE(BigInt(request.offset), 16)
  header.writeUInt32BE(request.length, 24)
  return header
}
