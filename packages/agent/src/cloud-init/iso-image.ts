/**
 * A small ISO 9660 file system with Joliet names, of files in one folder. Enough for cloud-init's seed: both Linux and
 * Windows read it, and the same files always make the same bytes, so that the image is known by its digest.
 *
 * After ECMA-119 (ISO 9660) and the Joliet specification (1995). A program such as genisoimage would be one more
 * dependency of every host for 150 lines, and writes the time of day into the image.
 */
import { assert } from '@stead/core/assert.ts'

export interface IsoFile {
  /** At most 64 characters; of the plain ISO name only what fits into 8.3 is kept. */
  readonly name: string
  readonly content: Buffer
}

const SECTOR = 2048
/** The first 16 sectors belong to the system. */
const PRIMARY = 16
const JOLIET = 17
const TERMINATOR = 18
const PATH_TABLES = { primaryLittle: 19, primaryBig: 20, jolietLittle: 21, jolietBig: 22 }
const ROOTS = { primary: 23, joliet: 24 }
const FIRST_FILE = 25
const NAME_LENGTH_MAX = 64
/** 1980-01-01: the image must not depend on when it was made. */
const DATE = Buffer.from([80, 1, 1, 0, 0, 0, 0])
const LONG_DATE = Buffer.concat([Buffer.from('1980010100000000', 'latin1'), Buffer.from([0])])
const ESCAPE_UCS2_LEVEL_3 = '%/E'

interface Entry {
  readonly identifier: Buffer
  readonly sector: number
  readonly size: number
  readonly folder: boolean
}

export function isoImage(label: string, files: readonly IsoFile[]): Buffer {
  let sector = FIRST_FILE
  const placed = files.map((file) => {
    assert(file.name.length <= NAME_LENGTH_MAX, `the name ${file.name} is too long for Joliet`)
    const at = sector
    sector += Math.max(1, Math.ceil(file.content.length / SECTOR))
    return { ...file, sector: at }
  })
  const image = Buffer.alloc(sector * SECTOR)
  const put = (at: number, content: Buffer) => {
    assert(content.length <= SECTOR, 'a folder of this image has one sector')
    content.copy(image, at * SECTOR)
  }
  put(PRIMARY, volumeDescriptor({ label, joliet: false, sectors: sector }))
  put(JOLIET, volumeDescriptor({ label, joliet: true, sectors: sector }))
  put(TERMINATOR, Buffer.from([255, ...Buffer.from('CD001'), 1]))
  put(PATH_TABLES.primaryLittle, pathTable(ROOTS.primary, 'little'))
  put(PATH_TABLES.primaryBig, pathTable(ROOTS.primary, 'big'))
  put(PATH_TABLES.jolietLittle, pathTable(ROOTS.joliet, 'little'))
  put(PATH_TABLES.jolietBig, pathTable(ROOTS.joliet, 'big'))
  const entries = (identifier: (name: string) => Buffer): Entry[] =>
    placed
      .map((file) => ({
        identifier: identifier(file.name),
        sector: file.sector,
        size: file.content.length,
        folder: false,
      }))
      .toSorted((a, b) => Buffer.compare(a.identifier, b.identifier))
  put(ROOTS.primary, folderRecords(ROOTS.primary, entries(plainName)))
  put(ROOTS.joliet, folderRecords(ROOTS.joliet, entries(ucs2)))
  for (const file of placed) file.content.copy(image, file.sector * SECTOR)
  return image
}

/** `user-data` is `USER_DAT.;1` where only 8.3 is allowed; systems that read Joliet never see it. */
function plainName(name: string): Buffer {
  const [base = '', extension = ''] = name
    .toUpperCase()
    .replaceAll(/[^A-Z0-9.]/g, '_')
    .split('.')
  return Buffer.from(`${base.slice(0, 8)}.${extension.slice(0, 3)};1`, 'latin1')
}

function ucs2(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

function volumeDescriptor(volume: {
  readonly label: string
  readonly joliet: boolean
  readonly sectors: number
}): Buffer {
  const { label, joliet, sectors } = volume
  const block = Buffer.alloc(SECTOR)
  const text = (at: number, length: number, value: string) => {
    const bytes = joliet ? ucs2(value.padEnd(Math.floor(length / 2))) : Buffer.from(value.padEnd(length), 'latin1')
    bytes.copy(block, at, 0, length)
  }
  block[0] = joliet ? 2 : 1
  block.write('CD001', 1, 'latin1')
  block[6] = 1
  text(8, 32, '')
  text(40, 32, label)
  both32(block, 80, sectors)
  if (joliet) block.write(ESCAPE_UCS2_LEVEL_3, 88, 'latin1')
  both16(block, 120, 1)
  both16(block, 124, 1)
  both16(block, 128, SECTOR)
  both32(block, 132, PATH_TABLE_BYTES)
  block.writeUInt32LE(joliet ? PATH_TABLES.jolietLittle : PATH_TABLES.primaryLittle, 140)
  block.writeUInt32BE(joliet ? PATH_TABLES.jolietBig : PATH_TABLES.primaryBig, 148)
  folderRecord(rootEntry(joliet ? ROOTS.joliet : ROOTS.primary, 0)).copy(block, 156)
  // Set, publisher, preparer, application; then three file names.
  for (const at of [190, 318, 446, 574]) text(at, 128, '')
  for (const at of [702, 739, 776]) text(at, 37, '')
  for (const at of [813, 830, 847, 864]) LONG_DATE.copy(block, at)
  block[881] = 1
  return block
}

/** Of the root alone: identifier of one zero byte, its sector, itself as parent. */
const PATH_TABLE_BYTES = 10

function pathTable(root: number, order: 'little' | 'big'): Buffer {
  const table = Buffer.alloc(PATH_TABLE_BYTES)
  table[0] = 1
  if (order === 'little') {
    table.writeUInt32LE(root, 2)
    table.writeUInt16LE(1, 6)
  } else {
    table.writeUInt32BE(root, 2)
    table.writeUInt16BE(1, 6)
  }
  return table
}

/** `name` 0 stands for the folder itself, 1 for its parent: here the same. */
function rootEntry(sector: number, name: 0 | 1): Entry {
  return { identifier: Buffer.from([name]), sector, size: SECTOR, folder: true }
}

function folderRecords(root: number, entries: readonly Entry[]): Buffer {
  return Buffer.concat([rootEntry(root, 0), rootEntry(root, 1), ...entries].map(folderRecord))
}

function folderRecord({ identifier, sector, size, folder }: Entry): Buffer {
  const length = 33 + identifier.length
  const record = Buffer.alloc(length + (length % 2))
  record[0] = record.length
  both32(record, 2, sector)
  both32(record, 10, size)
  DATE.copy(record, 18)
  record[25] = folder ? 2 : 0
  both16(record, 28, 1)
  record[32] = identifier.length
  identifier.copy(record, 33)
  return record
}

/** ISO 9660 writes most numbers twice, in both byte orders. */
function both32(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32LE(value, at)
  buffer.writeUInt32BE(value, at + 4)
}

function both16(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt16LE(value, at)
  buffer.writeUInt16BE(value, at + 2)
}
