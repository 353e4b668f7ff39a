/** Writes the archive format that Linux unpacks as its initramfs ("newc", see the kernel's buffer-format.rst). */

export type ArchiveEntry =
  | { readonly path: string; readonly content: Buffer; readonly mode: number }
  | { readonly path: string; readonly folder: true }
  /** A character device. */
  | { readonly path: string; readonly device: { readonly major: number; readonly minor: number } }

/** The same entries give the same bytes: no time, owner or inode of this machine is in it. */
export function cpioArchive(entries: readonly ArchiveEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => member(entry, index + 1))
  return Buffer.concat([...parts, ...member({ path: 'TRAILER!!!', content: Buffer.alloc(0), mode: 0 }, 0)])
}

function member(entry: ArchiveEntry, inode: number): Buffer[] {
  const content = 'content' in entry ? entry.content : Buffer.alloc(0)
  const mode = 'content' in entry ? 0o100000 | entry.mode : 'folder' in entry ? 0o40755 : 0o20600
  const device = 'device' in entry ? entry.device : { major: 0, minor: 0 }
  const name = Buffer.from(`${entry.path}\0`)
  const noDevice = [0, 0]
  const fields = [
    ...[inode, mode, 0, 0, 1, 0, content.length],
    ...[...noDevice, device.major, device.minor, name.length, 0],
  ]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
  return [padded(Buffer.concat([Buffer.from(header), name])), padded(content)]
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}
