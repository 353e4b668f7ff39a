/**
 * A real Debian 12 as a disk image, for tests and the lab: cloud kernel, cloud-init, guest agent, SSH server. It boots
 * by BIOS and by EFI (with Secure Boot: Debian's signed shim and GRUB). Its serial console is on ttyS0. Nobody can log
 * in until cloud-init has made a user.
 *
 * Kept as `debian-12-HASH.qcow2`, HASH over all that this file decides, in the user's cache folder: all working copies
 * share it.
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { makeBootDisk } from './boot-disk.ts'
import { withLabLock } from './lab-lock.ts'
import { runCommand } from './run-command.ts'

export interface DebianImage {
  /** A qcow2 file without backing file. */
  readonly path: string
  readonly virtualSizeBytes: number
}

const CODENAME = 'bookworm'
const LABEL = 'stead-root'
const UUID = '5eadb007-0000-4000-8000-000000000012'
const VIRTUAL_SIZE_BYTES = 1280 * 2 ** 20
const BUILD_MS_MAX = 15 * 60_000

const PACKAGES = [
  ...['systemd-sysv', 'udev', 'dbus', 'linux-image-cloud-amd64', 'initramfs-tools', 'zstd'],
  ...['cloud-init', 'cloud-guest-utils', 'fdisk', 'e2fsprogs', 'qemu-guest-agent', 'openssh-server'],
  ...['sudo', 'iproute2', 'iputils-ping', 'procps', 'netbase', 'ca-certificates'],
]

/** Firmware with EFI needs these outside the root file system; they are not installed in it. */
const EFI_PACKAGES = ['shim-signed', 'shim-helpers-amd64-signed', 'grub-efi-amd64-signed']

/** Files written before the packages are configured, so that the kernel's initramfs is made only once. */
const EARLY_FILES: Readonly<Record<string, string>> = {
  // Only what our hypervisor shows a guest: a small initramfs boots sooner.
  '/etc/initramfs-tools/conf.d/stead': 'MODULES=list\nCOMPRESS=zstd\n',
  '/usr/share/initramfs-tools/modules.d/stead': [
    ...['ext4', 'virtio_pci', 'virtio_blk', 'virtio_scsi', 'virtio_net', 'virtio_rng', 'virtio_balloon'],
    ...['sd_mod', 'sr_mod', 'ahci', 'isofs', 'button', ''],
  ].join('\n'),
}

const LATE_FILES: Readonly<Record<string, string>> = {
  '/etc/fstab': `LABEL=${LABEL} / ext4 errors=remount-ro,noatime 0 1\n`,
  '/etc/hostname': 'debian\n',
  '/etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  '/etc/machine-id': '',
  // What the mirror of the machine that built this was is nobody's business in the guest.
  '/etc/apt/sources.list': [
    `deb http://deb.debian.org/debian ${CODENAME} main`,
    `deb http://deb.debian.org/debian ${CODENAME}-updates main`,
    `deb http://security.debian.org/debian-security ${CODENAME}-security main`,
    '',
  ].join('\n'),
  '/etc/cloud/cloud.cfg.d/90_stead.cfg': [
    // Without a seed there is nothing to wait for.
    'datasource_list: [NoCloud, None]',
    'ssh_genkeytypes: [ed25519]',
    'locale: C.UTF-8',
    'apt_preserve_sources_list: true',
    'system_info:',
    '  network:',
    '    renderers: [networkd]',
    // What a test asks for; each module that is left out saves a second of an emulated boot.
    'cloud_init_modules: [growpart, resizefs, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]',
    'cloud_config_modules: [set-passwords, runcmd]',
    'cloud_final_modules: [write-files, scripts-vendor, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, final-message]',
    '',
  ].join('\n'),
  // A guest whose network is away boots all the same.
  '/etc/systemd/system/systemd-networkd-wait-online.service.d/stead.conf': [
    '[Service]',
    'ExecStart=',
    'ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=15',
    '',
  ].join('\n'),
  // Emulated processors claim to be able to do this.
  '/etc/modprobe.d/stead.conf': 'blacklist kvm_amd\nblacklist kvm_intel\n',
  '/boot/grub/grub.cfg': [
    'serial --unit=0 --speed=115200',
    'terminal_input console serial',
    'terminal_output console serial',
    'set timeout=0',
    'menuentry Debian {',
    `  linux /vmlinuz root=LABEL=${LABEL} ro console=tty0 console=ttyS0,115200`,
    '  initrd /initrd.img',
    '}',
    '',
  ].join('\n'),
}

const COMMANDS_IN_GUEST = [
  'systemctl enable systemd-networkd serial-getty@ttyS0.service',
  // Nothing should work behind the back of a guest that lives for a minute.
  'systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer e2scrub_reap.service',
  'rm -f /etc/ssh/ssh_host_*_key* /etc/resolv.conf /var/lib/dbus/machine-id',
  'rm -rf /etc/apt/sources.list.d/0000* /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/*.log /var/log/apt',
]

const EFI_GRUB_CFG = `search --no-floppy --label --set=root ${LABEL}\nset prefix=($root)/boot/grub\nconfigfile /boot/grub/grub.cfg\n`

/** Where the image is or would be. */
export function debianImagePath(): string {
  return join(cacheFolder(), `debian-12-${recipeHash()}.qcow2`)
}

/** Builds it unless it is there. Takes about two minutes, needs root and Debian's mirror; see `docs/operating/images.md`. */
export function buildDebianImage(): Promise<Result<DebianImage>> {
  const image = { path: debianImagePath(), virtualSizeBytes: VIRTUAL_SIZE_BYTES }
  if (existsSync(image.path)) return Promise.resolve(ok(image))
  if (process.getuid?.() !== 0)
    return Promise.resolve(
      fail(failure('forbidden', 'Only root can build a Debian image', { hint: 'Run it as root.' })),
    )
  mkdirSync(cacheFolder(), { recursive: true })
  return withLabLock(
    cacheFolder(),
    async () => {
      // Somebody else has built it while this one waited.
      if (existsSync(image.path)) return ok(image)
      const work = mkdtempSync(join(cacheFolder(), 'build-'))
      try {
        const built = await build(work)
        if (!built.ok) return built
        renameSync(built.value, image.path)
        return ok(image)
      } finally {
        rmSync(work, { recursive: true, force: true })
      }
    },
    BUILD_MS_MAX,
  )
}

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'stead', 'images')
}

function recipeHash(): string {
  const sources = ['debian-image.ts', 'boot-disk.ts'].map((name) => readFileSync(join(import.meta.dirname, name)))
  const hash = createHash('sha256')
  for (const source of sources) hash.update(source)
  return hash.digest('hex').slice(0, 12)
}

/** The value is the path of the finished image in the work folder. */
async function build(work: string): Promise<Result<string>> {
  const sources = await debianSources()
  if (!sources.ok) return sources
  const root = join(work, 'root')
  const efi = join(work, 'efi-packages')
  mkdirSync(efi)
  writeFileSync(join(work, 'sources.list'), sources.value)
  const early = writeTree(join(work, 'early'), EARLY_FILES)
  const late = writeTree(join(work, 'late'), LATE_FILES)
  const made = await runCommand(
    'mmdebstrap',
    [
      ...['--quiet', '--variant=minbase', `--include=${PACKAGES.join(',')}`],
      ...['man/*', 'locale/*', 'doc/*', 'info/*', 'lintian/*'].map(
        (path) => `--dpkgopt=path-exclude=/usr/share/${path}`,
      ),
      `--dpkgopt=path-include=/usr/share/doc/*/copyright`,
      `--essential-hook=cp -rT ${early} "$1"`,
      `--customize-hook=cd ${efi} && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -q download ${EFI_PACKAGES.join(' ')}`,
      `--customize-hook=cp -rT ${late} "$1"`,
      ...COMMANDS_IN_GUEST.map((command) => `--customize-hook=chroot "$1" sh -c '${command}'`),
      ...[CODENAME, root, join(work, 'sources.list')],
    ],
    { timeoutMs: BUILD_MS_MAX },
  )
  if (!made.ok) return made
  const efiFiles = await unpackEfi(efi)
  if (!efiFiles.ok) return efiFiles
  const raw = join(work, 'disk.raw')
  const disk = await makeBootDisk({
    ...{ path: raw, sizeBytes: VIRTUAL_SIZE_BYTES, rootFolder: root, label: LABEL, uuid: UUID },
    ...{ efiFiles: efiFiles.value, workFolder: work },
  })
  if (!disk.ok) return disk
  const packed = join(work, 'disk.qcow2')
  const converted = await runCommand(
    'qemu-img',
    ['convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', 'compression_type=zstd', raw, packed],
    { timeoutMs: BUILD_MS_MAX },
  )
  return converted.ok ? ok(packed) : converted
}

function writeTree(folder: string, files: Readonly<Record<string, string>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  return folder
}

/** This release's archives as apt lists for this machine, so that its own mirror is used; lines of a sources.list. */
async function debianSources(): Promise<Result<string>> {
  const format = '$(LABEL)|$(CODENAME)|$(REPO_URI)'
  const listed = await runCommand('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
    'Component: main',
  ])
  if (!listed.ok) return listed
  const targets = listed.value.split('\n').flatMap((line) => {
    const [label, codename, uri] = line.split('|')
    return label?.startsWith('Debian') && codename && uri ? [{ codename, uri }] : []
  })
  const wanted = [CODENAME, `${CODENAME}-updates`, `${CODENAME}-security`]
  const own = targets.filter(({ codename }) => wanted.includes(codename))
  // On another release of Debian: the same mirror has this one too.
  const base = targets.find(({ codename }) => !codename.includes('-'))
  const chosen = own.some(({ codename }) => codename === CODENAME) ? own : base ? [{ ...base, codename: CODENAME }] : []
  if (chosen.length === 0) {
    const hint = 'Run apt-get update, and see that Debian main is among the sources.'
    return fail(failure('not_found', `apt knows no archive with Debian ${CODENAME}`, { hint }))
  }
  const lines = chosen.map(({ codename, uri }) => `deb ${uri} ${codename} main`)
  return ok(`${[...new Set(lines)].join('\n')}\n`)
}

/** Which file of the signed packages lies where in the EFI system partition. */
async function unpackEfi(folder: string): Promise<Result<Record<string, string>>> {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.deb'))) {
    const unpacked = await runCommand('dpkg-deb', ['-x', join(folder, name), folder])
    if (!unpacked.ok) return unpacked
  }
  writeFileSync(join(folder, 'grub.cfg'), EFI_GRUB_CFG)
  const of = (path: string) => join(folder, path)
  return ok({
    'EFI/BOOT/BOOTX64.EFI': of('usr/lib/shim/shimx64.efi.signed'),
    'EFI/BOOT/mmx64.efi': of('usr/lib/shim/mmx64.efi.signed'),
    'EFI/BOOT/grubx64.efi': of('usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed'),
    'EFI/debian/grub.cfg': of('grub.cfg'),
  })
}
