/**
 * What an image's own header must not say. Looked at before QEMU opens the file: an image that names another file could
 * name any file of the host, and whoever uploads it would read that file inside his guest.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** docs/interop/qcow2.txt of QEMU. */
const QCOW2 = {
  version: 4,
  backingOffset: 8,
  sizeBytes: 24,
  cryptMethod: 32,
  l1Offset: 40,
  refcountTableOffset: 48,
  incompatible: 72,
}
const DIRTY = 1n << 0n
const CORRUPT = 1n << 1n
const EXTERNAL_DATA = 1n << 2n
const COMPRESSION_TYPE = 1n << 3n
const EXTENDED_L2 = 1n << 4n
const UNDERSTOOD = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2

/** The virtual size. `head` is the file's beginning, `fileBytes` its length. */
export function checkQcow2(head: Buffer, fileBytes: number): Result<number> {
  if (head.length < 104) return refuse('it is cut off within its header')
  const version = head.readUInt32BE(QCOW2.version)
  if (version !== 2 && version !== 3) return refuse(`it is qcow2 of version ${version}, and 2 and 3 are known`)
  if (head.readBigUInt64BE(QCOW2.backingOffset) !== 0n)
    return refuse('it has a backing file, so it is not whole', FLATTEN)
  if (head.readUInt32BE(QCOW2.cryptMethod) !== 0)
    return refuse('it is encrypted', 'Decrypt it first with `qemu-img convert`.')
  const features = version === 3 ? head.readBigUInt64BE(QCOW2.incompatible) : 0n
  if ((features & EXTERNAL_DATA) !== 0n) return refuse('its data is in another file', FLATTEN)
  if ((features & CORRUPT) !== 0n)
    return refuse('it says of itself that it is corrupt', '`qemu-img check -r all` may repair it.')
  if ((features & ~UNDERSTOOD) !== 0n) return refuse('it needs features that are not known here')
  const tables = [QCOW2.l1Offset, QCOW2.refcountTableOffset].map((at) => head.readBigUInt64BE(at))
  if (tables.some((offset) => offset >= BigInt(fileBytes)))
    return refuse('it is cut off: its tables lie beyond its end')
  return ok(Number(head.readBigUInt64BE(QCOW2.sizeBytes)))
}

/** "Virtual Disk Format 5.0" of VMware: the header of a hosted sparse extent; all numbers little endian, in sectors. */
const VMDK = { version: 4, capacity: 12, descriptorOffset: 28, descriptorSize: 36, overhead: 64 }
const SECTOR = 512
const NO_PARENT = 'ffffffff'
/** One file that holds everything. The others are descriptions of other files. */
const VMDK_WHOLE = ['monolithicsparse', 'streamoptimized']

/** The virtual size. `descriptor` reads a part of the file. */
export async function checkVmdk(
  head: Buffer,
  fileBytes: number,
  read: (offset: number, length: number) => Promise<Buffer>,
): Promise<Result<number>> {
  if (head.length < SECTOR) return refuse('it is cut off within its header')
  const sectors = (at: number) => Number(head.readBigUInt64LE(at))
  const version = head.readUInt32LE(VMDK.version)
  if (version < 1 || version > 3) return refuse(`it is VMDK of version ${version}, and 1 to 3 are known`)
  // QEMU reads a header without capacity as a list of other files.
  const sizeBytes = sectors(VMDK.capacity) * SECTOR
  if (sizeBytes === 0) return refuse('it only describes other files', WHOLE_VMDK)
  const [offset, length] = [sectors(VMDK.descriptorOffset) * SECTOR, sectors(VMDK.descriptorSize) * SECTOR]
  if (offset === 0 || length === 0) return refuse('it has no description of itself', WHOLE_VMDK)
  if (offset + length > fileBytes || length > 1 << 20)
    return refuse('it is cut off: its description lies beyond its end')
  const text = (await read(offset, length)).toString('latin1').split('\0')[0] ?? ''
  const value = (key: string) => new RegExp(`^\\s*${key}\\s*=\\s*"?([^"\\r\\n]*?)"?\\s*$`, 'im').exec(text)?.[1]
  if (!VMDK_WHOLE.includes(value('createType')?.toLowerCase() ?? ''))
    return refuse(`its kind is ${value('createType') ?? 'not told'}, which is not whole in one file`, WHOLE_VMDK)
  const parent = value('parentCID')?.toLowerCase()
  if ((parent !== undefined && parent !== NO_PARENT) || value('parentFileNameHint') !== undefined)
    return refuse('it holds only what differs from another image', WHOLE_VMDK)
  const extents = text.split('\n').filter((line) => /^\s*(RW|RDONLY|NOACCESS)\s/i.test(line))
  if (extents.length > 1) return refuse('it consists of several files', WHOLE_VMDK)
  const name = /"([^"]*)"/.exec(extents[0] ?? '')?.[1] ?? ''
  if (/[/\\:]/.test(name)) return refuse(`it names a path (${name})`, WHOLE_VMDK)
  if (/^\s*encoding\s*=\s*"?encrypt/im.test(text) || /^\s*(encryption\.|keySafe)/im.test(text))
    return refuse('it is encrypted')
  return ok(sizeBytes)
}

const FLATTEN = 'Make one whole file of it first: `qemu-img convert -O qcow2 OLD NEW`.'
const WHOLE_VMDK = 'Export it as one file: `ovftool`, or `qemu-img convert -O qcow2 OLD NEW` where all of it is.'

function refuse(why: string, hint?: string): Result<never> {
  return fail(failure('invalid_image', `The image is refused: ${why}`, hint === undefined ? {} : { hint }))
}
