/** What a file must begin with to be bootable by `--kernel`; both the client and the server check. */

/** How many leading bytes `kernelFormat` looks at. */
export const KERNEL_HEAD_BYTES = 1024

/**
 * `bzImage`: the x86 boot protocol's magic `HdrS` at 0x202 (Linux, Documentation/arch/x86/boot.rst).
 * `elf`: an uncompressed kernel, which QEMU boots by its PVH note. Undefined: not a kernel.
 */
export function kernelFormat(head: Uint8Array): 'bzImage' | 'elf' | undefined {
  const at = (offset: number, text: string) =>
    head.length >= offset + text.length &&
    new TextEncoder().encode(text).every((byte, index) => head[offset + index] === byte)
  if (at(0x202, 'HdrS')) return 'bzImage'
  if (at(0, '\x7fELF')) return 'elf'
  return undefined
}
