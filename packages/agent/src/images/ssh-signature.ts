/**
 * Signatures of files as `ssh-keygen -Y sign` writes them (OpenSSH's PROTOCOL.sshsig), by Ed25519 keys: what administrators have
 * already, on a token too. What is signed names a purpose, so that a signature of something else is none of a template.
 */
import { createPublicKey, verify } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export const TEMPLATE_PURPOSE = 'stead-template'

export interface SshSignature {
  /** `ssh-ed25519 BASE64`, as in a `.pub` file, without its comment. */
  readonly key: string
  readonly purpose: string
  /** By which the file is known to the signature. */
  readonly hash: 'sha256' | 'sha512'
  /** Whether it is a signature of the file with this digest. */
  readonly isOf: (digest: Buffer) => boolean
}

const ARMOR = /^-----BEGIN SSH SIGNATURE-----\s+([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----\s*$/
const MAGIC = 'SSHSIG'
const VERSION = 1
const ALGORITHM = 'ssh-ed25519'
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** Of an Ed25519 key in DER, before its 32 bytes (RFC 8410). */
const DER_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Fails with `bad_request` where it is no such signature. */
export function parseSshSignature(text: string): Result<SshSignature> {
  const armored = ARMOR.exec(text.trim())?.[1]
  if (armored === undefined) return noSignature('it does not begin and end as one')
  const reader = new WireReader(Buffer.from(armored, 'base64'))
  try {
    if (reader.bytes(MAGIC.length).toString('latin1') !== MAGIC || reader.number() !== VERSION)
      return noSignature('it is of a version that is not known')
    const keyBlob = reader.string()
    const purpose = reader.string()
    const reserved = reader.string()
    const hashName = reader.string()
    const value = signatureIn(reader.string())
    const hash = hashName.toString('latin1')
    if (hash !== 'sha256' && hash !== 'sha512') return noSignature(`it is by the hash ${JSON.stringify(hash)}`)
    const key = publicKeyIn(keyBlob)
    if (!key || !value) return noSignature('it is not by an Ed25519 key')
    const before = [Buffer.from(MAGIC, 'latin1'), wire(purpose), wire(reserved), wire(hashName)]
    return ok({
      ...{ key: `${ALGORITHM} ${keyBlob.toString('base64')}`, purpose: purpose.toString(), hash },
      isOf: (digest) => verify(null, Buffer.concat([...before, wire(digest)]), key, value),
    })
  } catch (error) {
    if (error instanceof RangeError) return noSignature('it is cut off')
    throw error
  }
}

function publicKeyIn(blob: Buffer) {
  const raw = partsOf(blob, KEY_BYTES)
  return raw && createPublicKey({ key: Buffer.concat([DER_PREFIX, raw]), format: 'der', type: 'spki' })
}

function signatureIn(blob: Buffer): Buffer | undefined {
  return partsOf(blob, SIGNATURE_BYTES)
}

/** Keys and signatures are the algorithm's name and then as many bytes. */
function partsOf(blob: Buffer, length: number): Buffer | undefined {
  const reader = new WireReader(blob)
  if (reader.string().toString('latin1') !== ALGORITHM) return undefined
  const value = reader.string()
  return value.length === length ? value : undefined
}

class WireReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Throws a `RangeError` where there are not so many. */
  bytes(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('The signature ends too early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  number(): number {
    return this.bytes(4).readUInt32BE()
  }

  string(): Buffer {
    return this.bytes(this.number())
  }
}

function wire(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function noSignature(why: string): Result<never> {
  return fail(
    failure('bad_request', `That is no signature: ${why}`, {
      hint: `Make it by \`ssh-keygen -Y sign -n ${TEMPLATE_PURPOSE} -f KEY FILE\`, with an Ed25519 key`,
    }),
  )
}
