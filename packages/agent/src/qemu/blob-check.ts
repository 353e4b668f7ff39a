/** Can this file be used as what the administrator says it is? Checked before anything is created from it. */
import { open } from 'node:fs/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Linux boot protocol (Documentation/arch/x86/boot.rst): `HdrS` at 0x202, the sector's signature at 0x1fe. */
const SETUP_MAGIC = { offset: 0x202, text: 'HdrS' }
const BOOT_SIGNATURE = { offset: 0x1fe, value: 0xaa55 }
/** ELF note by which a kernel tells its PVH entry point; what QEMU needs to boot an ELF file. */
const PVH_NOTE = { name: 'Xen\0', type: 18 }

/** Fails with `invalid_image` unless QEMU could boot the file as a Linux kernel. */
export async function checkKernel(path: string): Promise<Result<'bzImage' | 'elf'>> {
  const read = await readStart(path, 1 << 16)
  if (!read.ok) return read
  const start = read.value
  if (
    start.length >= SETUP_MAGIC.offset + 4 &&
    start.readUInt16LE(BOOT_SIGNATURE.offset) === BOOT_SIGNATURE.value &&
    start.toString('latin1', SETUP_MAGIC.offset, SETUP_MAGIC.offset + 4) === SETUP_MAGIC.text
  ) {
    return ok('bzImage')
  }
  if (await isPvhElf(path, start)) return ok('elf')
  return fail(
    failure('invalid_image', `${path} is not a Linux kernel for x86-64`, {
      hint: 'Give a bzImage (usually /boot/vmlinuz-...) or a vmlinux with a PVH entry',
    }),
  )
}

const INITRD_MAGICS: readonly Buffer[] = [
  Buffer.from('070701'),
  Buffer.from('070702'),
  Buffer.from([0x1f, 0x8b]),
  Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]),
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
  Buffer.from([0x02, 0x21, 0x4c, 0x18]),
  Buffer.from([0x04, 0x22, 0x4d, 0x18]),
  Buffer.from([0x5d, 0x00, 0x00]),
  Buffer.from('BZh'),
]

/** Fails with `invalid_image` unless the file starts as an initramfs does: cpio, plain or compressed. */
export async function checkInitrd(path: string): Promise<Result<void>> {
  const read = await readStart(path, 16)
  if (!read.ok) return read
  if (INITRD_MAGICS.some((magic) => read.value.subarray(0, magic.length).equals(magic))) return ok()
  return fail(
    failure('invalid_image', `${path} is not an initial RAM disk`, {
      hint: 'Give a cpio archive (newc), plain or compressed',
    }),
  )
}

async function readStart(path: string, length: number): Promise<Result<Buffer>> {
  try {
    await using file = await open(path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
    return ok(buffer.subarray(0, bytesRead))
  } catch (cause) {
    return fail(failure('invalid_image', `${path} cannot be read`, { cause }))
  }
}

/** ELF-64 for x86-64, with fields as in elf(5). */
async function isPvhElf(path: string, start: Buffer): Promise<boolean> {
  const isElf64 = start.length >= 64 && start.toString('latin1', 0, 4) === '\x7fELF' && start[4] === 2
  if (!isElf64 || start.readUInt16LE(18) !== 62) return false
  const headers = {
    offset: Number(start.readBigUInt64LE(32)),
    size: start.readUInt16LE(54),
    count: start.readUInt16LE(56),
  }
  for (let index = 0; index < headers.count; index++) {
    const at = headers.offset + index * headers.size
    if (at + 56 > start.length) return false
    const PT_NOTE = 4
    if (start.readUInt32LE(at) !== PT_NOTE) continue
    const notes = await readRange(path, Number(start.readBigUInt64LE(at + 8)), Number(start.readBigUInt64LE(at + 32)))
    if (hasPvhNote(notes)) return true
  }
  return false
}

async function readRange(path: string, offset: number, length: number): Promise<Buffer> {
  await using file = await open(path, 'r')
  const bounded = Math.min(length, 1 << 20)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bounded), 0, bounded, offset)
  return buffer.subarray(0, bytesRead)
}

function hasPvhNote(notes: Buffer): boolean {
  const padded = (length: number) => (length + 3) & ~3
  for (let at = 0; at + 12 <= notes.length;) {
    const [nameLength, dataLength, type] = [
      notes.readUInt32LE(at),
      notes.readUInt32LE(at + 4),
      notes.readUInt32LE(at + 8),
    ]
    if (type === PVH_NOTE.type && notes.toString('latin1', at + 12, at + 12 + nameLength) === PVH_NOTE.name) return true
    at += 12 + padded(nameLength) + padded(dataLength)
  }
  return false
}
