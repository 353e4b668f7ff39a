/** The smallest system that starts and halts as a whole one does: one static program, made from `busybox-static`. */
import { chmod, copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { failure, FailureError } from '@stead/core/errors.ts'
import { buildStep } from './build-step.ts'

/** ELF: PT_INTERP. */
const INTERPRETER = 3
const BUSYBOX = '/bin/busybox'

const FOLDERS = [
  'dev',
  'proc',
  'sys',
  'run',
  'root',
  'home',
  'mnt',
  'etc/network',
  'var/log',
  'var/spool/cron/crontabs',
]

const FILES: Readonly<Record<string, string>> = {
  // No getty: whoever may open the console of a container is its root.
  'etc/inittab': [
    '::sysinit:/etc/init.d/rcS',
    'console::askfirst:-/bin/sh',
    '::restart:/sbin/init',
    '::ctrlaltdel:/sbin/reboot',
    '::shutdown:/etc/init.d/rcK',
    '',
  ].join('\n'),
  // Addresses are given by the host: no DHCP client is started.
  'etc/init.d/rcS': [
    '#!/bin/sh',
    'mkdir -p /run/lock /tmp',
    'chmod 1777 /tmp',
    '[ -s /etc/hostname ] && hostname -F /etc/hostname',
    'ip link set lo up',
    'for script in /etc/rc.d/S*; do [ -x "$script" ] && "$script" start; done',
    'exit 0',
    '',
  ].join('\n'),
  'etc/init.d/rcK': '#!/bin/sh\nfor script in /etc/rc.d/K*; do [ -x "$script" ] && "$script" stop; done\nexit 0\n',
  'etc/passwd': [
    'root:x:0:0:root:/root:/bin/sh',
    'daemon:x:1:1:daemon:/:/bin/false',
    'nobody:x:65534:65534:nobody:/:/bin/false',
    '',
  ].join('\n'),
  'etc/shadow': 'root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n',
  'etc/group': 'root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  'etc/hostname': 'busybox\n',
  'etc/profile': "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\nexport PS1='\\u@\\h:\\w\\$ '\n",
  'etc/shells': '/bin/sh\n',
}

const PROGRAMS = new Set(['etc/init.d/rcS', 'etc/init.d/rcK'])

/** The archive; `work` is an empty folder for it. */
export async function buildBusyboxRoot(work: string, signal: AbortSignal): Promise<string> {
  const step = (file: string, args: readonly string[]) => buildStep(file, args, { needs: 'busybox-static', signal })
  const applets = (await step(BUSYBOX, ['--list-full'])).split('\n').filter((path) => path !== '')
  // The package `busybox` has the same file, which needs a C library that is not in the template.
  if (!isStatic(await readFile(BUSYBOX)) || !applets.includes('sbin/init'))
    throw new FailureError(
      failure('not_found', `${BUSYBOX} of this machine is not the static one`, {
        hint: 'Install it: apt-get install busybox-static',
      }),
    )
  const root = join(work, 'root')
  for (const folder of ['bin', 'tmp', ...FOLDERS]) await mkdir(join(root, folder), { recursive: true })
  await copyFile(BUSYBOX, join(root, 'bin/busybox'))
  await chmod(join(root, 'bin/busybox'), 0o755)
  for (const applet of applets) {
    if (applet === 'bin/busybox' || applet === 'linuxrc') continue
    await mkdir(join(root, dirname(applet)), { recursive: true })
    await symlink('/bin/busybox', join(root, applet))
  }
  const version = /v(\d+(?:\.\d+)+)/.exec(await step(BUSYBOX, ['--help']))?.[1] ?? ''
  const release = `ID=busybox\nVERSION_ID="${version}"\nPRETTY_NAME="BusyBox ${version}"\n`
  for (const [path, content] of [...Object.entries(FILES), ['etc/os-release', release] as const]) {
    await mkdir(join(root, dirname(path)), { recursive: true })
    await writeFile(join(root, path), content, { mode: PROGRAMS.has(path) ? 0o755 : 0o644 })
  }
  await chmod(join(root, 'etc/shadow'), 0o600)
  await chmod(join(root, 'root'), 0o700)
  await chmod(join(root, 'tmp'), 0o1777)
  const archive = join(work, 'busybox.tar.gz')
  await step('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '--sort=name', '-czf', archive, '.'])
  return archive
}

/** No header of the ELF file names an interpreter, which would load libraries. */
function isStatic(program: Buffer): boolean {
  const wide = program[4] === 2
  const [first, size, count] = wide
    ? [Number(program.readBigUInt64LE(32)), program.readUInt16LE(54), program.readUInt16LE(56)]
    : [program.readUInt32LE(28), program.readUInt16LE(42), program.readUInt16LE(44)]
  const types = Array.from({ length: count }, (_, index) => program.readUInt32LE(first + index * size))
  return !types.includes(INTERPRETER)
}
