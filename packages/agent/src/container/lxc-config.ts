/**
 * A container's LXC configuration, whole: nothing of /usr/share/lxc/config is included, so that what a container may do does not
 * depend on the distribution's defaults. Keys: lxc.container.conf(5).
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { idMapLines } from './id-maps.ts'
import { HALT_SIGNALS, type LxcDevice, type LxcMount, type LxcNic, type LxcSpec } from './lxc-spec.ts'

/** Debian's and every other distribution's: refuses loading of modules, kexec and opening files by handle. */
export const SECCOMP_PROFILE = '/usr/share/lxc/config/common.seccomp'

/** Where `stead-container run` shows the root to LXC (native/stead-container.c). */
const ROOT_PLACE = '/run/stead-container/root'

/** These reach beyond the container's namespaces, were it the host's root who had them. */
const DROPPED_CAPABILITIES =
  'mac_admin mac_override sys_module sys_rawio sys_time syslog wake_alarm block_suspend audit_control audit_read bpf perfmon checkpoint_restore'

/** null, zero, full, random, urandom, tty, console, ptmx, pts, fuse: what every system expects. `m` alone is mknod. */
const DEVICES = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
  'c 10:229 rwm',
]

/** Pseudo-terminals: distributions' own configurations give as many. */
const TERMINALS_MAX = 1024

export interface HostAbilities {
  /** The kernel checks paths with AppArmor and apparmor_parser is there. */
  readonly apparmor: boolean
}

export interface Surroundings {
  readonly nativeDir: string
  /** The terminal that LXC's own, which is its init's console, is shown on; `none`: on none. */
  readonly console: string
  /** Path of the file; LXC's common one when absent. */
  readonly seccompProfile?: string
}

/** Fails with `bad_request` where a value could not be written into the file as one value. */
export function lxcConfig(
  spec: LxcSpec,
  { nativeDir, console, seccompProfile = SECCOMP_PROFILE }: Surroundings,
  abilities: HostAbilities,
): Result<string> {
  const maps = idMapLines(spec.idBase)
  if (!maps.ok) return maps
  const lines = [
    `lxc.uts.name = ${spec.name}`,
    `lxc.rootfs.path = dir:${ROOT_PLACE}`,
    ...maps.value,
    ...(spec.idBase === 'privileged' ? [] : ['lxc.rootfs.options = idmap=container']),
    `lxc.signal.halt = ${HALT_SIGNALS[spec.haltSignal]}`,
    ...(spec.init === undefined || hasBlanks(spec.init) ? [] : [`lxc.init.cmd = ${spec.init.join(' ')}`]),
    'lxc.environment = PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'lxc.environment = TERM=linux',
    // The last one of a name counts.
    ...(spec.process?.environment.map((each) => `lxc.environment = ${each}`) ?? []),
    ...(spec.process?.folder === undefined ? [] : [`lxc.init.cwd = ${spec.process.folder}`]),
    ...(spec.process?.uid === undefined ? [] : [`lxc.init.uid = ${spec.process.uid}`]),
    ...(spec.process?.gid === undefined ? [] : [`lxc.init.gid = ${spec.process.gid}`]),
    `lxc.mount.auto = proc:${spec.nesting ? 'rw' : 'mixed'} sys:${spec.nesting ? 'rw' : 'mixed'} cgroup:mixed`,
    `lxc.seccomp.profile = ${seccompProfile}`,
    `lxc.cap.drop = ${DROPPED_CAPABILITIES}`,
    // Tells the agent of every start, of those after a reboot from inside too, and makes the terminals (no `lxc.pty.max`).
    `lxc.hook.start-host = ${nativeDir}/stead-container started ${spec.folder} ${spec.terminalsMax ?? TERMINALS_MAX}`,
    'lxc.tty.max = 0',
    `lxc.console.path = ${console}`,
    `lxc.cgroup.dir.container = ${spec.cgroup}`,
    `lxc.cgroup.dir.monitor = ${monitorCgroup(spec.cgroup)}`,
    ...bothVersions('devices.deny = a'),
    ...[...DEVICES, ...spec.devices.map(deviceRule)].flatMap((rule) => bothVersions(`devices.allow = ${rule}`)),
    ...(abilities.apparmor
      ? ['lxc.apparmor.profile = generated', `lxc.apparmor.allow_nesting = ${spec.nesting ? 1 : 0}`]
      : []),
    // What a container inside needs to mount its own: the kernel wants one of each kind that nothing covers.
    ...(spec.nesting
      ? [
          'lxc.mount.entry = proc dev/.lxc/proc proc create=dir,optional 0 0',
          'lxc.mount.entry = sys dev/.lxc/sys sysfs create=dir,optional 0 0',
        ]
      : []),
    ...spec.mounts.map((mount) => mountLine(mount, spec.idBase !== 'privileged')),
    ...spec.devices.map(
      ({ path }) => `lxc.mount.entry = ${escaped(path)} ${escaped(path.slice(1))} none bind,create=file 0 0`,
    ),
    ...(spec.nics.length === 0 ? ['lxc.net.0.type = empty'] : spec.nics.flatMap(nicLines)),
    ...spec.limitLines,
  ]
  const broken = lines.find((line) => /[\n\r\0]/.test(line))
  if (broken === undefined) return ok(`${lines.join('\n')}\n`)
  return fail(failure('bad_request', `A line break in ${JSON.stringify(broken)} cannot be a container's`))
}

/** `lxc.init.cmd` is split at blanks, whatever is quoted: such words are given to lxc-start itself. */
export function hasBlanks(words: readonly string[]): boolean {
  return words.some((word) => word === '' || /\s/.test(word))
}

export function monitorCgroup(cgroup: string): string {
  return `${cgroup}.monitor`
}

/** The family that the host does not have is passed over with a warning in the log. */
function bothVersions(rest: string): readonly string[] {
  return [`lxc.cgroup.${rest}`, `lxc.cgroup2.${rest}`]
}

function deviceRule({ type, major, minor }: LxcDevice): string {
  return `${type} ${major}:${minor} rwm`
}

function mountLine({ source, target, readOnly }: LxcMount, idMapped: boolean): string {
  const options = ['bind', 'create=dir', ...(readOnly ? ['ro'] : []), ...(idMapped ? ['idmap=container'] : [])]
  return `lxc.mount.entry = ${escaped(source)} ${escaped(target.replace(/^\/+/, ''))} none ${options.join(',')} 0 0`
}

/** As fstab(5) wants blanks and backslashes. */
function escaped(path: string): string {
  return path.replace(/[\\ \t]/g, (found) => `\\${found.charCodeAt(0).toString(8).padStart(3, '0')}`)
}

function nicLines(nic: LxcNic, index: number): readonly string[] {
  const key = `lxc.net.${index}`
  return [
    `${key}.type = veth`,
    `${key}.flags = up`,
    `${key}.name = ${nic.name}`,
    `${key}.veth.pair = ${nic.hostEnd}`,
    `${key}.link = ${nic.bridge}`,
    `${key}.hwaddr = ${nic.mac}`,
    `${key}.mtu = ${nic.mtu}`,
    ...nic.addresses.map((address) => `${key}.${family(address)}.address = ${address}`),
    ...nic.gateways.map((gateway) => `${key}.${family(gateway)}.gateway = ${gateway}`),
  ]
}

function family(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}
