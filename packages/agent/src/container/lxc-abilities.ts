/** What this host's LXC and kernel can do; a container is refused where something it needs is missing. */
import { access, readFile, stat } from 'node:fs/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { SECCOMP_PROFILE, type HostAbilities } from './lxc-config.ts'
import type { LxcPrograms } from './lxc-spec.ts'

/** The first with idmapped root file systems. */
const LXC_MAJOR_MIN = 5
const VERSION_TIMEOUT_MS = 5_000
/** mount_setattr(MOUNT_ATTR_IDMAP) on ext4; cgroup.kill. */
const KERNEL_MIN = [5, 14] as const

export interface LxcAbilities extends HostAbilities {
  readonly version: string
}

/** Fails with `hypervisor`; the hint says what to install. */
export async function lxcAbilities(programs: LxcPrograms): Promise<Result<LxcAbilities>> {
  const found = await versionOf(programs.lxcStart)
  if (!found.ok) return found
  const version = found.value
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

/** Of each program once: the key changes when it is installed anew. */
const versions = new Map<string, string>()

async function versionOf(program: string): Promise<Result<string>> {
  const file = await stat(program).catch(() => undefined)
  const key = JSON.stringify([program, file?.ino, file?.mtimeMs, file?.size])
  const known = versions.get(key)
  if (known !== undefined) return ok(known)
  const asked = await runProgram(program, ['--version'], VERSION_TIMEOUT_MS)
  if (!asked.ok) {
    const why = { cause: asked.error, hint: 'apt-get install lxc' }
    return fail(failure('hypervisor', 'This host cannot run containers: LXC is missing', why))
  }
  const version = asked.value.output.trim()
  if (file) versions.set(key, version)
  return ok(version)
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
