/** What arrives in answer to one request: chunks of data, holes, block status and errors. */
import {
  CHUNK_BLOCK_STATUS,
  CHUNK_ERROR_BIT,
  CHUNK_NONE,
  CHUNK_OFFSET_DATA,
  CHUNK_OFFSET_HOLE,
  errnoError,
  errorName,
} from './nbd-protocol.ts'

/** Part of an export whose status is the same. `flags` are those of the context. */
export interface NbdExtent {
  readonly offset: number
  readonly length: number
  readonly flags: number
}

/** Where the parts of an answer go. */
export interface ReplyTarget {
  readonly offset: number
  /** Where read data goes. */
  readonly data?: Buffer
  /** Id of the context that was asked about; its extents are collected, their offsets left to the reader. */
  readonly context?: number
  readonly extents: NbdExtent[]
}

/** Longer payloads than this are read data only, and those go straight to their buffer. */
const LONGEST_CONTROL_PAYLOAD = 8 * 1024 * 1024

/** Collects one structured chunk's payload; read data is copied straight to where the caller wants it. */
export class PayloadSink {
  readonly #request: ReplyTarget
  readonly #type: number
  readonly #control: Buffer
  #controlFill = 0
  #dataLeft: number
  #dataAt = -1

  constructor(request: ReplyTarget, type: number, length: number) {
    this.#request = request
    this.#type = type
    const isData = type === CHUNK_OFFSET_DATA
    const controlLength = isData ? 8 : length
    if (controlLength > LONGEST_CONTROL_PAYLOAD || length < (isData ? 8 : 0))
      throw errnoError('EPROTO', `a chunk of ${length} bytes`)
    this.#control = Buffer.alloc(controlLength)
    this.#dataLeft = isData ? length - 8 : 0
  }

  get full(): boolean {
    return this.#controlFill === this.#control.length && this.#dataLeft === 0
  }

  take(bytes: Buffer): number {
    if (this.#controlFill < this.#control.length) {
      const copied = bytes.copy(this.#control, this.#controlFill)
      this.#controlFill += copied
      return copied
    }
    const { data, offset } = this.#request
    if (!data) throw errnoError('EPROTO', 'read data for a request that asked for none')
    if (this.#dataAt < 0) this.#dataAt = Number(this.#control.readBigUInt64BE(0)) - offset
    const size = Math.min(bytes.length, this.#dataLeft)
    if (this.#dataAt < 0 || this.#dataAt + size > data.length)
      throw errnoError('EPROTO', 'read data outside of the request')
    bytes.copy(data, this.#dataAt, 0, size)
    this.#dataAt += size
    this.#dataLeft -= size
    return size
  }

  /** Takes a complete payload into account; returns the error that the server reports, if any. */
  apply(): Error | undefined {
    const control = this.#control
    if (this.#type & CHUNK_ERROR_BIT) {
      const messageLength = control.readUInt16BE(4)
      return errnoError(
        errorName(control.readUInt32BE(0)),
        control.toString('utf8', 6, 6 + messageLength) || 'refused by the server',
      )
    }
    if (this.#type === CHUNK_OFFSET_HOLE) {
      const start = Number(control.readBigUInt64BE(0)) - this.#request.offset
      this.#request.data?.fill(0, start, start + control.readUInt32BE(8))
    } else if (this.#type === CHUNK_BLOCK_STATUS) {
      if (control.readUInt32BE(0) !== this.#request.context) return undefined
      for (let at = 4; at + 8 <= control.length; at += 8) {
        this.#request.extents.push({ offset: 0, length: control.readUInt32BE(at), flags: control.readUInt32BE(at + 4) })
      }
    } else if (this.#type !== CHUNK_NONE && this.#type !== CHUNK_OFFSET_DATA) {
      return errnoError('EPROTO', `unknown chunk type ${this.#type}`)
    }
    return undefined
  }
}
