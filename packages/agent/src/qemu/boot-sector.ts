/**
 * For tests: a guest of 512 bytes. A boot sector that, without any operating system, really uses its disk through
 * the firmware's virtio driver. It boots in a quarter of a second under emulation.
 *
 * `write`: for ever, write a growing number (32 bits, little endian) to sector 64 + number % 1024, then print `.`
 * to the serial port, or `E` when the disk reported an error. `shutdown`: ACPI power off. `reset`: by the keyboard
 * controller. `fill`: as `write`, after it has filled 8 MiB of memory with the same four bytes. It prints `B` first.
 * The code, in GNU assembler:
 *
 *   .code16
 *   .globl _start
 *   _start:
 *     cli
 *     xorw %ax,%ax
 *     movw %ax,%ds
 *     movw %ax,%es
 *     movw %ax,%ss
 *     movw $0x7c00,%sp
 *     sti
 *     movb %dl,0x7df0-0x7c00+_start
 *     movb $'B',%al
 *     call putc
 *     movb mode,%al
 *     cmpb $1,%al
 *     je shutdown
 *     cmpb $2,%al
 *     je reset
 *     cmpb $3,%al
 *     je idle
 *     cmpb $4,%al
 *     je fill
 *   loop:
 *     incl counter
 *     movl counter,%eax
 *     movl %eax,0x8000
 *     andl $1023,%eax
 *     addl $64,%eax
 *     movl %eax,dap+8
 *     movw $dap,%si
 *     movb 0x7df0-0x7c00+_start,%dl
 *     movw $0x4300,%ax
 *     int $0x13
 *     movb $'.',%al
 *     jnc 1f
 *     movb $'E',%al
 *   1:call putc
 *     jmp loop
 *   fill:
 *     cli
 *     lgdt gdtr
 *     movl %cr0,%eax
 *     incb %al
 *     movl %eax,%cr0
 *     movw $8,%bx
 *     movw %bx,%fs
 *     decb %al
 *     movl %eax,%cr0
 *     sti
 *     movl $0x100000,%edi
 *   1:movl $0x61657453,%fs:(%edi)
 *     addl $4,%edi
 *     cmpl $0x900000,%edi
 *     jb 1b
 *     jmp loop
 *   shutdown:
 *     movw $0x604,%dx
 *     movw $0x2000,%ax
 *     outw %ax,%dx
 *   idle:
 *     hlt
 *     jmp idle
 *   reset:
 *     movb $0xfe,%al
 *     outb %al,$0x64
 *     jmp idle
 *   putc:
 *     movw $0x3f8,%dx
 *     outb %al,%dx
 *     ret
 *   .balign 4
 *   counter: .long 0
 *   gdtr: .word 15
 *     .long gdt
 *   gdt: .quad 0, 0x00cf92000000ffff
 *   dap: .byte 16,0
 *     .word 1, 0x8000, 0
 *     .quad 64
 *   .org 0x1b0
 *   mode: .byte 0
 *   .org 0x1fe
 *   .word 0xaa55
 */
const CODE = [
  'fa31c08ed88ec08ed0bc007cfb8816f07db042e88c00a0b07d3c0174753c02747b3c0374743c04743266ff06a87c66a1',
  'a87c66a300806625ff0300006683c04066a3ca7cbec27c8a16f07db80043cd13b02e7302b045e84900ebcefa0f0116ac',
  '7c0f20c0fec00f22c0bb08008ee3fec80f22c0fb66bf00001000646766c707537465616683c7046681ff0000900072ea',
  'eb97ba0406b80020eff4ebfdb0fee664ebf7baf803eec390000000000f00b27c00000000000000000000ffff00000092',
  'cf001000010000800000400000000000',
].join('')

const MODE_OFFSET = 0x1b0
export const FIRST_SECTOR = 64
export const SECTOR_COUNT = 1024
const SECTOR_BYTES = 512

export function bootSector(behaviour: 'write' | 'shutdown' | 'reset' | 'idle' | 'fill'): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES)
  Buffer.from(CODE, 'hex').copy(sector)
  sector[MODE_OFFSET] = { write: 0, shutdown: 1, reset: 2, idle: 3, fill: 4 }[behaviour]
  sector.writeUInt16LE(0xaa55, 0x1fe)
  return sector
}

/** The highest number that the guest has written to this image. */
export function lastNumberIn(image: Buffer): number {
  let highest = 0
  for (let sector = FIRST_SECTOR; sector < FIRST_SECTOR + SECTOR_COUNT; sector++) {
    highest = Math.max(highest, image.readUInt32LE(sector * SECTOR_BYTES))
  }
  return highest
}
