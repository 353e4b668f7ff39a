/** What a file is, by its own first bytes. QEMU never guesses a format; this only checks what the administrator said. */
import type { UploadFormat } from '@stead/core/model/image-import.ts'

export type DiskFormat = Exclude<UploadFormat, 'ova' | 'iso'>

/** How much of a file's beginning is looked at: an ISO tells its kind only at 32 KiB. */
export const HEAD_BYTES = 33 * 1024

const ISO_AT = 0x8001
const TAR_AT = 257

/** Undefined: nothing known, so it may be a raw disk. */
export function formatByContent(head: Buffer): UploadFormat | 'vmdk-descriptor' | 'vmdk3' | 'vdi' | 'qed' | undefined {
  const at = (offset: number, text: string) => head.toString('latin1', offset, offset + text.length) === text
  if (at(0, 'QFI\xfb')) return 'qcow2'
  if (at(0, 'KDMV')) return 'vmdk'
  if (at(0, 'COWD')) return 'vmdk3'
  if (at(0, '# Disk DescriptorFile')) return 'vmdk-descriptor'
  if (at(0, 'vhdxfile')) return 'vhdx'
  if (at(0, 'QED\0')) return 'qed'
  if (head.length >= 0x44 && head.readUInt32LE(0x40) === 0xbeda107f) return 'vdi'
  if (at(TAR_AT, 'ustar')) return 'ova'
  if (at(ISO_AT, 'CD001')) return 'iso'
  return undefined
}
