/** What this host's LXC and kernel can do; a container is refused where something it needs is missing. */
import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { SECCOMP_PROFILE, type HostAbilities } from './lxc-config.ts'
import type { LxcPrograms } from './lxc-spec.ts'

const run = promisify(execFile)
/** The first with idmapped root file systems. */
const LXC_MAJOR_MIN = 5
/** mount_setattr(MOUNT_ATTR_IDMAP) on ext4; cgroup.kill. */
const KERNEL_MIN = [5, 14] as const

export interface LxcAbilities extends HostAbilities {
  readonly version: string
}

/** Fails with `hypervisor`; the hint says what to install. */
export async function lxcAbilities(programs: LxcPrograms): Promise<Result<LxcAbilities>> {
  let version: string
  try {
    version = (await run(programs.lxcStart, ['--version'], { timeout: 5_000 })).stdout.trim()
  } catch (cause) {
    return fail(
      failure('hypervisor', 'This host cannot run containers: LXC is missing', { cause, hint: 'apt-get install lxc' }),
    )
  }
  if (Number(version.split('.')[0]) < LXC_MAJOR_MIN) {
    return fail(
      failure('hypervisor', `LXC ${version} is too old: ${LXC_MAJOR_MIN}.0 and newer map the ids of a root`, {
        hint: 'Use Debian 12 or newer',
      }),
    )
  }
  const kernel = (await readFile('/proc/sys/kernel/osrelease', 'utf8')).trim()
  const [major = 0, minor = 0] = kernel.split('.').map(Number.parseFloat)
  if (major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1])) {
    return fail(
      failure('hypervisor', `The kernel ${kernel} cannot mount a root with mapped ids`, {
        hint: `Linux ${KERNEL_MIN.join('.')} or newer is needed`,
      }),
    )
  }
  for (const file of [SECCOMP_PROFILE, '/proc/self/ns/user', '/proc/self/ns/cgroup']) {
    if (await exists(file)) continue
    return fail(
      failure('hypervisor', `This host cannot run containers: ${file} is missing`, {
        hint: file === SECCOMP_PROFILE ? 'Install the package lxc again' : 'The kernel lacks this kind of namespace',
      }),
    )
  }
  const enabled = await readFile('/sys/module/apparmor/parameters/enabled', 'utf8').catch(() => 'N')
  const apparmor = enabled.startsWith('Y') && (await exists('/sbin/apparmor_parser'))
  return ok({ version, apparmor })
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
