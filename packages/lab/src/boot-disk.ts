/**
 * A bootable disk in a plain file, made of a folder without a loop device or a mount: GPT; GRUB's BIOS boot partition;
 * an EFI system partition; the root file system as the last one, so that it can grow with the disk.
 *
 * GRUB is put in place by hand, since `grub-install` wants a block device: `boot.img` becomes the master boot record
 * and is told where `core.img` begins, and `core.img` is told where its second sector lies (GRUB manual, "Images").
 */
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { ok, type Result } from '@stead/core/result.ts'
import { runCommand } from './run-command.ts'

export interface BootDisk {
  /** The file that is made. */
  readonly path: string
  readonly sizeBytes: number
  /** Becomes the root file system, owners and modes as they are. */
  readonly rootFolder: string
  /** Label of the root file system, by which firmware with EFI finds it. */
  readonly label: string
  /** Fixed, so that the same content makes the same identity. */
  readonly uuid: string
  /** Files of the EFI system partition, by path in it; none: it starts by BIOS alone. */
  readonly efiFiles: Readonly<Record<string, string>>
  /** For files on the way; removed by the caller. */
  readonly workFolder: string
}

const SECTOR = 512
const MIB = 2 ** 20
const BIOS_BOOT = { startMib: 1, sizeMib: 1 }
const EFI = { startMib: 2, sizeMib: 16 }
const ROOT_START_MIB = 18
/** The backup partition table lies at the disk's end. */
const END_MIB = 1
const GRUB_FOLDER = '/usr/lib/grub/i386-pc'
/** All that it takes to read a menu, a kernel and an initramfs from ext4; nothing is loaded later. */
const GRUB_MODULES = [
  ...['biosdisk', 'part_gpt', 'ext2', 'linux', 'normal', 'configfile', 'search', 'search_label'],
  ...['echo', 'test', 'serial', 'terminal', 'sleep', 'ls', 'cat', 'reboot', 'halt'],
]
/** Offsets in GRUB's images: include/grub/i386/pc/boot.h and offsets.h. */
const BOOT_KERNEL_SECTOR = 0x5c
const BOOT_CODE_BYTES = 440
const CORE_FIRST_BLOCK = SECTOR - 12

export async function makeBootDisk(disk: BootDisk): Promise<Result<void>> {
  writeFileSync(disk.path, '')
  truncateSync(disk.path, disk.sizeBytes)
  const partitioned = await runCommand('sfdisk', ['--quiet', disk.path], { input: partitionTable(disk) })
  if (!partitioned.ok) return partitioned
  const booting = await writeGrub(disk)
  if (!booting.ok) return booting
  const efi = await writeEfi(disk)
  if (!efi.ok) return efi
  const rootKib = (disk.sizeBytes / MIB - ROOT_START_MIB - END_MIB) * 1024
  const made = await runCommand(
    'mke2fs',
    [
      ...['-q', '-t', 'ext4', '-L', disk.label, '-U', disk.uuid, '-m', '1'],
      // What GRUB 2.06 cannot read, and newer e2fsprogs would choose by itself.
      ...['-O', '^metadata_csum_seed,^orphan_file', '-E', `offset=${ROOT_START_MIB * MIB}`],
      ...['-d', disk.rootFolder, disk.path, `${rootKib}k`],
    ],
    { timeoutMs: 300_000 },
  )
  return made.ok ? ok() : made
}

function partitionTable(disk: BootDisk): string {
  const rootMib = disk.sizeBytes / MIB - ROOT_START_MIB - END_MIB
  return [
    'label: gpt',
    `start=${BIOS_BOOT.startMib}MiB, size=${BIOS_BOOT.sizeMib}MiB, name=bios, type=21686148-6449-6E6F-744E-656564454649`,
    `start=${EFI.startMib}MiB, size=${EFI.sizeMib}MiB, name=efi, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B`,
    `start=${ROOT_START_MIB}MiB, size=${rootMib}MiB, name=root, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709`,
    '',
  ].join('\n')
}

async function writeGrub(disk: BootDisk): Promise<Result<void>> {
  const corePath = join(disk.workFolder, 'core.img')
  // `(,gpt3)`: the third partition of whatever disk the firmware booted from.
  const made = await runCommand('grub-mkimage', [
    ...['--format', 'i386-pc', '--directory', GRUB_FOLDER, '--prefix', '(,gpt3)/boot/grub'],
    ...['--output', corePath, ...GRUB_MODULES],
  ])
  if (!made.ok) return made
  const coreSector = (BIOS_BOOT.startMib * MIB) / SECTOR
  const boot = readFileSync(join(GRUB_FOLDER, 'boot.img'))
  boot.writeBigUInt64LE(BigInt(coreSector), BOOT_KERNEL_SECTOR)
  const core = readFileSync(corePath)
  core.writeBigUInt64LE(BigInt(coreSector + 1), CORE_FIRST_BLOCK)
  await using file = await open(disk.path, 'r+')
  await file.write(boot, 0, BOOT_CODE_BYTES, 0)
  await file.write(core, 0, core.length, coreSector * SECTOR)
  return ok()
}

async function writeEfi(disk: BootDisk): Promise<Result<void>> {
  if (Object.keys(disk.efiFiles).length === 0) return ok()
  const image = join(disk.workFolder, 'efi.img')
  const tree = join(disk.workFolder, 'efi')
  for (const [path, from] of Object.entries(disk.efiFiles)) {
    mkdirSync(join(tree, path, '..'), { recursive: true })
    copyFileSync(from, join(tree, path))
  }
  const formatted = await runCommand('mkfs.vfat', ['-n', 'EFI', '-C', image, String(EFI.sizeMib * 1024)])
  if (!formatted.ok) return formatted
  const copied = await runCommand('mcopy', ['-i', image, '-s', join(tree, 'EFI'), '::'])
  if (!copied.ok) return copied
  await using file = await open(disk.path, 'r+')
  const content = readFileSync(image)
  await file.write(content, 0, content.length, EFI.startMib * MIB)
  return ok()
}
