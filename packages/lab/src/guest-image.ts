/**
 * The lab's own small guest: Debian's cloud kernel and an initramfs of busybox and the recorder. Kept in
 * `.cache/guest`; the initramfs is built again when what goes into it has changed.
 *
 * Words on the kernel's command line: `stead.run=` takes a comma-separated list of `record:INTERVAL_MS` (the default,
 * every 100 ms), `idle`, `echo` (TCP port 7), `shell` (on the serial console and on the screen) and `cmd:BASE64`;
 * `stead.ip=ADDRESS/PREFIX` sets up eth0.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { cpioArchive } from './cpio-archive.ts'
import type { ArchiveEntry } from './cpio-archive.ts'
import { runCommand } from './run-command.ts'
import { writeWhole } from './write-whole.ts'

export interface GuestImage {
  /** Linux bzImage. */
  readonly kernel: string
  /** gzip'ed cpio archive. */
  readonly initrd: string
}

/** What must be on the kernel's command line, besides the `stead.` words. */
export const GUEST_APPEND = 'console=ttyS0 quiet panic=-1'

/** In this order; one that is built into the kernel has no file. `virtio_ring` must come before `virtio`. */
const MODULES = [
  ...['virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci', 'virtio_blk'],
  ...['failover', 'net_failover', 'virtio_net', 'evdev', 'button', 'virtio_console'],
]
/** In the image too, for guests that load them themselves. */
const SPARE_MODULES = ['efivarfs', 'virtio_balloon', 'virtio_mem', 'tls', 'bonding']

const INIT = `#!/bin/busybox sh
export PATH=/bin
# Installing its commands, busybox looks itself up in /proc.
/bin/busybox mount -t proc proc /proc || exit 1
/bin/busybox --install -s /bin || exit 1
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
for module in ${MODULES.join(' ')}; do
  [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko || echo "GUEST cannot load $module"
done
acpid -f -l /dev/null &

run=record:100
for word in $(cat /proc/cmdline); do
  case $word in
    stead.run=*) run=\${word#stead.run=} ;;
    stead.ip=*) address=\${word#stead.ip=} ;;
  esac
done
ip link set lo up
if [ -n "$address" ]; then
  ip address add "$address" dev eth0 && ip link set eth0 up || echo "GUEST no network card"
fi

# Without the driver, writing to /dev/vda would make a plain file in memory and look just as good.
disk() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/vda ] && return 0
    sleep 0.2
  done
  echo "GUEST no disk"
  return 1
}

# A shell for ever. Not in the background of this one: such a child could never be interrupted by Ctrl-C.
shell() {
  start-stop-daemon -S -b -n "shell-$1" -a /bin/sh -- -c "
    while [ -c /dev/$1 ]; do
      setsid sh -c 'exec sh -l </dev/$1 >/dev/$1 2>&1'
      sleep 1
    done"
}

echo "GUEST ready $(cut -d ' ' -f 1 /proc/uptime)"
for task in $(echo "$run" | tr , ' '); do
  case $task in
    record:*) disk && recorder append /dev/vda "\${task#record:}" & ;;
    echo) nc -ll -p 7 -e cat & ;;
    cmd:*) echo "\${task#cmd:}" | base64 -d > /run.sh; (sh /run.sh; echo "CMD exit $?") & ;;
    shell) shell ttyS0; shell tty1 ;;
    idle) ;;
    *) echo "GUEST does not know $task" ;;
  esac
done
while sleep 3600; do :; done
`

const POWER_BUTTON = `#!/bin/sh
echo "GUEST power button"
# A record that is being written when the disk goes away would look like a write error.
killall -9 recorder 2>/dev/null
sync
poweroff -f
`

export async function buildGuestImage(repository: string): Promise<Result<GuestImage>> {
  const cache = join(repository, '.cache', 'guest')
  mkdirSync(cache, { recursive: true })
  const kernelFolder = join(cache, 'kernel')
  const taken = join(kernelFolder, 'modules.list')
  const wanted = [...MODULES, ...SPARE_MODULES].join('\n')
  if (!existsSync(taken) || readFileSync(taken, 'utf8') !== wanted) {
    const fetched = await fetchKernel(cache, kernelFolder)
    if (!fetched.ok) return fetched
    writeWhole(taken, wanted)
  }
  const recorder = join(repository, '.native', 'bin', 'recorder')
  if (!existsSync(recorder))
    return fail(failure('conflict', 'the recorder is not compiled', { hint: 'Run: ./dev setup' }))
  const entries = imageEntries(kernelFolder, recorder)
  const archive = cpioArchive(entries)
  const inputs = createHash('sha256').update(archive).digest('hex')
  const image: GuestImage = { kernel: join(kernelFolder, 'vmlinuz'), initrd: join(cache, 'initrd.img') }
  const stamp = join(cache, 'initrd.sha256')
  if (existsSync(stamp) && existsSync(image.initrd) && readFileSync(stamp, 'utf8') === inputs) return ok(image)
  writeWhole(image.initrd, gzipSync(archive, { level: 6 }))
  writeWhole(stamp, inputs)
  return ok(image)
}

function imageEntries(kernelFolder: string, recorder: string): ArchiveEntry[] {
  const file = (path: string, content: Buffer | string, mode = 0o755): ArchiveEntry => ({
    path,
    content: Buffer.from(content),
    mode,
  })
  const folder = (path: string): ArchiveEntry => ({ path, folder: true })
  return [
    ...['bin', 'dev', 'etc', 'etc/acpi', 'etc/acpi/PWRF', 'modules', 'proc', 'sys', 'tmp'].map(folder),
    { path: 'dev/console', device: { major: 5, minor: 1 } },
    file('init', INIT),
    file('bin/busybox', readFileSync('/usr/bin/busybox')),
    file('bin/recorder', readFileSync(recorder)),
    file('etc/acpi/PWRF/00000080', POWER_BUTTON),
    file('etc/acpid.conf', 'PWRF/00000080 PWRF/00000080\n', 0o644),
    file('etc/acpi.map', 'EV_KEY 0x01 KEY_POWER 116 1 PWRF/00000080\n', 0o644),
    ...readdirSync(join(kernelFolder, 'modules')).map((name) =>
      file(`modules/${name}`, readFileSync(join(kernelFolder, 'modules', name)), 0o644),
    ),
  ]
}

/** The package that `linux-image-cloud-amd64` depends on, unpacked; nothing is installed. */
async function fetchKernel(cache: string, target: string): Promise<Result<void>> {
  const depends = await runCommand('apt-cache', [
    'depends',
    '--no-recommends',
    '--no-suggests',
    'linux-image-cloud-amd64',
  ])
  if (!depends.ok) return depends
  const name = /Depends: (linux-image-\S+)/.exec(depends.value)?.[1]
  if (name === undefined) {
    const hint = 'Run apt-get update, and see that Debian main is among the sources.'
    return fail(
      failure('internal', 'no cloud kernel among the packages of this Debian', { hint, cause: depends.value }),
    )
  }
  const work = mkdtempSync(join(cache, 'fetch-'))
  try {
    const fetched = await runCommand('apt-get', ['-q', 'download', name], { cwd: work, timeoutMs: 300_000 })
    if (!fetched.ok) return fetched
    const deb = readdirSync(work).find((file) => file.endsWith('.deb')) ?? ''
    const unpacked = await runCommand('dpkg-deb', ['-x', join(work, deb), join(work, 'root')], { timeoutMs: 120_000 })
    if (!unpacked.ok) return unpacked
    const ready = join(work, 'kernel')
    mkdirSync(join(ready, 'modules'), { recursive: true })
    const boot = join(work, 'root', 'boot')
    renameSync(join(boot, readdirSync(boot).find((file) => file.startsWith('vmlinuz')) ?? ''), join(ready, 'vmlinuz'))
    const copied = await copyModules(join(work, 'root'), join(ready, 'modules'))
    if (!copied.ok) return copied
    rmSync(target, { recursive: true, force: true })
    renameSync(ready, target)
    return ok()
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function copyModules(root: string, target: string): Promise<Result<void>> {
  const lib =
    ['lib', 'usr/lib'].map((folder) => join(root, folder, 'modules')).find((folder) => existsSync(folder)) ?? root
  for (const path of readdirSync(lib, { recursive: true, encoding: 'utf8' })) {
    const [, name, packed] = /^(.*)\.ko(\.xz)?$/.exec(basename(path)) ?? []
    if (name === undefined || !(MODULES.includes(name) || SPARE_MODULES.includes(name))) continue
    const to = join(target, `${name}.ko${packed ?? ''}`)
    renameSync(join(lib, path), to)
    // Debian 13 packs its modules, which busybox's insmod cannot read.
    if (packed === undefined) continue
    const unpacked = await runCommand('xz', ['--decompress', to])
    if (!unpacked.ok) return unpacked
  }
  return ok()
}
