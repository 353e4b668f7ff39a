/** The handshake of an NBD connection: from the server's greeting to the transmission phase. */
import {
  encodeGo,
  encodeMetaContextQuery,
  encodeOption,
  errnoError,
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  INFO_BLOCK_SIZE,
  INFO_EXPORT,
  isOptionError,
  NBD_MAGIC,
  OPTION_GO,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  OPTION_SET_META_CONTEXT,
  OPTION_STARTTLS,
  OPTION_STRUCTURED_REPLY,
  optionErrorName,
  REPLY_ACK,
  REPLY_ERROR_UNKNOWN_EXPORT,
  REPLY_INFO,
  REPLY_META_CONTEXT,
} from './nbd-protocol.ts'

/** No option reply that we ask for comes near this; a larger one is not an NBD server's. */
const LONGEST_OPTION_REPLY = 64 * 1024

/** The two ends of the byte stream as the handshake needs them. `read` rejects when the connection ends. */
export interface HandshakeStream {
  read(length: number): Promise<Buffer>
  write(bytes: Buffer): void
}

export interface NegotiatedExport {
  readonly sizeBytes: number
  readonly flags: number
  readonly maxRequestBytes: number
  /** Context name to the id that block status replies carry. */
  readonly contexts: ReadonlyMap<string, number>
}

/** Where each handshake begins. Rejects with an error whose `code` is EPROTO for a server that is none. */
export async function greet(stream: HandshakeStream): Promise<void> {
  const greeting = await stream.read(18)
  if (greeting.readBigUInt64BE(0) !== NBD_MAGIC || greeting.readBigUInt64BE(8) !== OPTION_MAGIC) {
    throw errnoError('EPROTO', 'the server does not speak newstyle NBD')
  }
  if (!(greeting.readUInt16BE(16) & FLAG_FIXED_NEWSTYLE)) throw errnoError('EPROTO', 'the server is not fixed newstyle')
  const clientFlags = Buffer.alloc(4)
  clientFlags.writeUInt32BE(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)
  stream.write(clientFlags)
}

/** After it both sides begin with TLS. Rejects when the server speaks none. */
export async function askForTls(stream: HandshakeStream): Promise<void> {
  stream.write(encodeOption(OPTION_STARTTLS, Buffer.alloc(0)))
  await expectAck(stream, OPTION_STARTTLS, 'encryption')
}

/** After the greeting. Rejects with an error that has a `code`: ENOENT for an unknown export. */
export async function negotiate(
  stream: HandshakeStream,
  exportName: string,
  metaContexts: readonly string[],
): Promise<NegotiatedExport> {
  stream.write(encodeOption(OPTION_STRUCTURED_REPLY, Buffer.alloc(0)))
  await expectAck(stream, OPTION_STRUCTURED_REPLY, 'structured replies')

  const contexts = new Map<string, number>()
  if (metaContexts.length > 0) {
    stream.write(encodeOption(OPTION_SET_META_CONTEXT, encodeMetaContextQuery(exportName, metaContexts)))
    for (;;) {
      const reply = await readReply(stream, OPTION_SET_META_CONTEXT, exportName)
      if (reply.type === REPLY_ACK) break
      if (reply.type === REPLY_META_CONTEXT)
        contexts.set(reply.payload.toString('utf8', 4), reply.payload.readUInt32BE(0))
    }
    const missing = metaContexts.filter((name) => !contexts.has(name))
    if (missing.length > 0) throw errnoError('ENOENT', `export ${exportName} has no context ${missing.join(', ')}`)
  }

  stream.write(encodeOption(OPTION_GO, encodeGo(exportName)))
  let sizeBytes = 0
  let flags = 0
  let maxRequestBytes = 32 * 1024 * 1024
  for (;;) {
    const { type, payload } = await readReply(stream, OPTION_GO, exportName)
    if (type === REPLY_ACK) break
    if (type !== REPLY_INFO) continue
    const info = payload.readUInt16BE(0)
    if (info === INFO_EXPORT) {
      sizeBytes = Number(payload.readBigUInt64BE(2))
      flags = payload.readUInt16BE(10)
    } else if (info === INFO_BLOCK_SIZE) {
      maxRequestBytes = Math.min(maxRequestBytes, payload.readUInt32BE(10))
    }
  }
  return { sizeBytes, flags, maxRequestBytes, contexts }
}

async function expectAck(stream: HandshakeStream, option: number, what: string): Promise<void> {
  const reply = await readReply(stream, option, what)
  if (reply.type !== REPLY_ACK) throw errnoError('EPROTO', `unexpected reply ${reply.type} to ${what}`)
}

async function readReply(
  stream: HandshakeStream,
  option: number,
  subject: string,
): Promise<{ type: number; payload: Buffer }> {
  const header = await stream.read(20)
  if (header.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC || header.readUInt32BE(8) !== option) {
    throw errnoError('EPROTO', 'the server answered another option than the one asked')
  }
  const type = header.readUInt32BE(12)
  const length = header.readUInt32BE(16)
  if (length > LONGEST_OPTION_REPLY) throw errnoError('EPROTO', `an option reply of ${length} bytes`)
  const payload = length > 0 ? await stream.read(length) : Buffer.alloc(0)
  if (isOptionError(type)) {
    const code = type === REPLY_ERROR_UNKNOWN_EXPORT ? 'ENOENT' : 'EPROTO'
    throw errnoError(code, `${subject}: ${optionErrorName(type)} ${payload.toString('utf8')}`.trim())
  }
  return { type, payload }
}
