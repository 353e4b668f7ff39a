/** What an ext4 file system says of itself in its superblock (Linux: Documentation/filesystems/ext4/super.rst). */
import { open } from 'node:fs/promises'

export interface Ext4Superblock {
  /** It ended in order and knows of no error: `e2fsck -p` would look at no more than this either. */
  readonly isClean: boolean
  /** It was mounted since it was made or last checked whole: resize2fs demands a check then. */
  readonly wasUsed: boolean
  readonly sizeBytes: number
  readonly blockBytes: number
}

const OFFSET = 1024
const BYTES = 1024
const MAGIC = 0xef53
const VALID = 1
const NEEDS_RECOVERY = 0x4
const ORPHAN_PRESENT = 0x10000

/** Undefined: there is none, or it cannot be read. */
export async function readSuperblock(device: string): Promise<Ext4Superblock | undefined> {
  const bytes = Buffer.alloc(BYTES)
  try {
    const file = await open(device, 'r')
    try {
      const { bytesRead } = await file.read(bytes, 0, BYTES, OFFSET)
      return bytesRead === BYTES ? parseSuperblock(bytes) : undefined
    } finally {
      await file.close()
    }
  } catch {
    return undefined
  }
}

function parseSuperblock(bytes: Buffer): Ext4Superblock | undefined {
  if (bytes.readUInt16LE(0x38) !== MAGIC) return undefined
  const mountsMax = bytes.readInt16LE(0x36)
  const isDue = (mountsMax > 0 && bytes.readUInt16LE(0x34) >= mountsMax) || bytes.readUInt32LE(0x44) > 0
  const isClean =
    bytes.readUInt16LE(0x3a) === VALID &&
    (bytes.readUInt32LE(0x60) & NEEDS_RECOVERY) === 0 &&
    (bytes.readUInt32LE(0x64) & ORPHAN_PRESENT) === 0 &&
    bytes.readUInt32LE(0xe8) === 0 &&
    bytes.readUInt32LE(0x194) === 0 &&
    !isDue
  const blocks = bytes.readUInt32LE(0x150) * 2 ** 32 + bytes.readUInt32LE(0x04)
  const blockBytes = 1024 * 2 ** bytes.readUInt32LE(0x18)
  return {
    isClean,
    wasUsed: timeAt(bytes, 0x2c, 0x275) > timeAt(bytes, 0x40, 0x277),
    sizeBytes: blocks * blockBytes,
    blockBytes,
  }
}

/** Seconds since 1970: 32 bits, and 8 more that came later. */
function timeAt(bytes: Buffer, low: number, high: number): number {
  return bytes.readUInt8(high) * 2 ** 32 + bytes.readUInt32LE(low)
}
