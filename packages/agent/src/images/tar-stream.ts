/**
 * A tar on its way from a stranger to the program that unpacks it: each member is understood here first, and somebody
 * judges it. What is taken is passed on byte by byte, what is left out is not. That another reader could understand the
 * same bytes otherwise is why it unpacks in a namespace of its own all the same; this one says why something is refused.
 */
import { failure, FailureError } from '@stead/core/errors.ts'
import { checksumHolds, nameField, numberField, paxRecords, TAR_BLOCK, textField } from './tar-header.ts'

export type TarEntryType =
  | 'file'
  | 'hard-link'
  | 'symbolic-link'
  | 'character-device'
  | 'block-device'
  | 'folder'
  | 'fifo'

export interface TarEntry {
  /** As written, its bytes as latin1. */
  readonly name: string
  readonly type: TarEntryType
  /** Where a link points; empty otherwise. */
  readonly target: string
  readonly uid: number
  readonly gid: number
  /** Of a device. */
  readonly device: readonly [major: number, minor: number]
  /** What it takes in the archive, and its length once unpacked (more where it has holes). */
  readonly storedBytes: number
  readonly sizeBytes: number
}

/** `take`, `leave-out`; refuses the whole archive by throwing `refusedArchive`. */
export type TarJudge = (entry: TarEntry) => 'take' | 'leave-out'

const TYPES: Readonly<Record<string, TarEntryType>> = {
  ...{ '0': 'file', '\0': 'file', '7': 'file', S: 'file', '1': 'hard-link', '2': 'symbolic-link' },
  ...{ '3': 'character-device', '4': 'block-device', '5': 'folder', '6': 'fifo' },
}
/** Extended attributes are at most 64 KiB each; a path 4 KiB. */
const EXTENSION_BYTES_MAX = 2 ** 20
const EXTENSIONS_MAX = 8
/** Sparse files of the old GNU kind have 21 pieces in each further header. */
const SPARSE_HEADERS_MAX = 100_000
/** After the end come zeros up to a full record: 10 KiB by default, 512 KiB at most by habit. */
const TRAILER_BYTES_MAX = 16 * 2 ** 20

export function refusedArchive(why: string): FailureError {
  return new FailureError(failure('invalid_image', `The archive is refused: ${why}`))
}

/** For a message: names are bytes of a stranger. */
export function shownName(name: string): string {
  return JSON.stringify(Buffer.from(name, 'latin1').toString('utf8').slice(0, 200))
}

export async function* judgedTar(source: AsyncIterable<Buffer>, judge: TarJudge): AsyncGenerator<Buffer> {
  const input = new ByteSource(source)
  /** Headers that belong to the next member, as they came. */
  let before: Buffer[] = []
  let [longName, longTarget] = [undefined, undefined] as [string | undefined, string | undefined]
  let pax = new Map<string, string>()
  let members = 0
  for (;;) {
    const header = await input.take(TAR_BLOCK)
    if (header === undefined) {
      if (members === 0 || before.length > 0) throw refusedArchive('it is cut off')
      break
    }
    if (header.every((byte) => byte === 0)) break
    if (!checksumHolds(header)) throw refusedArchive(members === 0 ? 'it is no tar' : 'it is damaged')
    const type = String.fromCharCode(header[156] ?? 0)
    const headerSize = numberField(header, 124, 12)
    if (type === 'L' || type === 'K' || type === 'x' || type === 'g') {
      if (!(headerSize <= EXTENSION_BYTES_MAX) || before.length > 2 * EXTENSIONS_MAX)
        throw refusedArchive('a name or an attribute in it is too long')
      const content = await input.must(padded(headerSize))
      const text = content.subarray(0, headerSize)
      // One for all members: none that matters here comes with one, and it could rename each of them.
      if (type === 'g') {
        checkGlobal(text)
        continue
      }
      before.push(header, content)
      if (type === 'L') longName = textField(text, 0, text.length)
      else if (type === 'K') longTarget = textField(text, 0, text.length)
      else {
        const records = paxRecords(text)
        if (!records) throw refusedArchive('it is damaged')
        pax = new Map([...pax, ...records])
      }
      continue
    }
    if (type === 'V') continue
    const known = TYPES[type]
    if (known === undefined) throw refusedArchive(`a member has the type ${shownName(type)}, which is not known`)
    // The pieces of an old GNU sparse file go on in headers of their own.
    const pieces: Buffer[] = []
    for (let more = type === 'S' && header[482] !== 0; more;) {
      const next = await input.must(TAR_BLOCK)
      if (pieces.push(next) > SPARSE_HEADERS_MAX) throw refusedArchive('a file in it has too many pieces')
      more = next[504] !== 0
    }
    // As GNU tar has it: a hard link has no content, whatever its header says.
    const storedBytes = known === 'hard-link' ? 0 : (decimal(pax.get('size')) ?? headerSize)
    const real = pax.get('GNU.sparse.realsize') ?? pax.get('GNU.sparse.size')
    const entry: TarEntry = {
      name: pax.get('GNU.sparse.name') ?? pax.get('path') ?? longName ?? nameField(header),
      type: known,
      target: known.endsWith('link') ? (pax.get('linkpath') ?? longTarget ?? textField(header, 157, 100)) : '',
      uid: decimal(pax.get('uid')) ?? numberField(header, 108, 8),
      gid: decimal(pax.get('gid')) ?? numberField(header, 116, 8),
      device: [numberField(header, 329, 8), numberField(header, 337, 8)],
      storedBytes,
      sizeBytes: type === 'S' ? numberField(header, 483, 12) : (decimal(real) ?? storedBytes),
    }
    if (![entry.uid, entry.gid, entry.storedBytes, entry.sizeBytes].every(Number.isSafeInteger))
      throw refusedArchive(`a number of ${shownName(entry.name)} cannot be read`)
    const taken = judge(entry) === 'take'
    members += 1
    if (taken) yield Buffer.concat([...before, header, ...pieces])
    for await (const part of input.pass(padded(storedBytes))) if (taken) yield part
    before = []
    longName = longTarget = undefined
    pax = new Map()
  }
  if (members === 0) throw refusedArchive('it is empty')
  yield Buffer.alloc(2 * TAR_BLOCK)
  // The rest is read, so that whoever decompresses it can check his sums.
  for (let rest = 0; ;) {
    const part = await input.some()
    if (part === undefined) return
    rest += part.length
    if (rest > TRAILER_BYTES_MAX) throw refusedArchive('something large follows its end')
  }
}

function checkGlobal(text: Buffer): void {
  const records = paxRecords(text)
  if (!records) throw refusedArchive('it is damaged')
  for (const key of ['path', 'linkpath', 'size', 'uid', 'gid', 'GNU.sparse.name'])
    if (records.has(key)) throw refusedArchive(`it sets ${key} of all members at once`)
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / TAR_BLOCK) * TAR_BLOCK
}

function decimal(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}

class ByteSource {
  readonly #source: AsyncIterator<Buffer>
  #held: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** The next bytes, at least one; undefined at the end. */
  async some(): Promise<Buffer | undefined> {
    while (this.#held.length === 0) {
      const next = await this.#source.next()
      if (next.done) return undefined
      this.#held = next.value
    }
    const held = this.#held
    this.#held = held.subarray(held.length)
    return held
  }

  /** Exactly so many, or undefined when there are none at all. */
  async take(length: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    for await (const part of this.pass(length, true)) parts.push(part)
    return parts.length === 0 && length > 0 ? undefined : parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }

  async must(length: number): Promise<Buffer> {
    const taken = await this.take(length)
    if (taken === undefined) throw refusedArchive('it is cut off')
    return taken
  }

  /** So many bytes in the pieces in which they come. */
  async *pass(length: number, mayBeNone = false): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      const part = await this.some()
      if (part === undefined) {
        if (mayBeNone && left === length) return
        throw refusedArchive('it is cut off')
      }
      const own = part.subarray(0, left)
      this.#held = part.subarray(own.length)
      left -= own.length
      yield own
    }
  }
}
