/** One lab host: its power, its freezer and its processes. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { applyCuts, dropLinks } from './cables.ts'
import {
  cgroupFolder,
  createCgroup,
  isFrozen,
  isGone,
  killGroup,
  processesOf,
  removeCgroup,
  setFrozen,
} from './control-group.ts'
import { controllers, createControllers, freezerOf } from './controllers.ts'
import { createHostNamespace, destroyNamespace } from './namespaces.ts'
import { runCommand } from './run-command.ts'
import { hostFolder, namespaceFile, powerStripSocket } from './topology.ts'
import type { LabHostSpec, LabPlaces } from './topology.ts'

export type Power = 'on' | 'off' | 'frozen'

/** What is needed to boot any host of a lab. */
export interface HostBoot {
  readonly places: LabPlaces
  /** Where the machine's cgroup2 tree is mounted. */
  readonly cgroupRoot: string
  readonly nativeDir: string
  /** What process 1 of the host keeps running. */
  readonly command: (host: LabHostSpec) => readonly string[]
  /** Folder of Node's compile cache. */
  readonly compileCache: string
}

const OF_CONTAINERS = ['front', 'stead-disk', 'lxc'] as const
export const PROCESS_KINDS = ['agent', 'qsd', 'etcd', 'guardian', 'deadman', 'qemu', ...OF_CONTAINERS] as const
export type ProcessKind = (typeof PROCESS_KINDS)[number]

/** Built, or as it is written: bin/stead-agent. */
export const AGENT_FILE = /\/(agent\.cjs|agent\/src\/main\.ts)$/

const IS_OF_KIND: Record<ProcessKind, (argv: readonly string[]) => boolean> = {
  agent: (argv) => runsByNode(argv, AGENT_FILE),
  guardian: (argv) => runsByNode(argv, /\/guardian[a-z-]*(\/main)?\.ts$/),
  etcd: (argv) => basename(argv[0] ?? '') === 'etcd',
  deadman: (argv) => basename(argv[0] ?? '') === 'stead-deadman',
  qsd: (argv) => basename(argv[0] ?? '') === 'qemu-storage-daemon',
  qemu: (argv) => isQemu(argv) && !isFront(argv),
  front: (argv) => isQemu(argv) && isFront(argv),
  'stead-disk': (argv) => basename(argv[0] ?? '') === 'stead-disk',
  // The second is how LXC names itself once it has restored one.
  lxc: ([program = '']) => basename(program) === 'lxc-start' || program.startsWith('[lxc monitor] '),
}

function isQemu(argv: readonly string[]): boolean {
  return basename(argv[0] ?? '').startsWith('qemu-system-')
}

/** The QEMU before a container's disks has no machine. */
function isFront(argv: readonly string[]): boolean {
  return argv[argv.indexOf('-machine') + 1] === 'none'
}

/** Only what Node itself runs: the command line of process 1 of the host names the agent's file too. */
function runsByNode(argv: readonly string[], file: RegExp): boolean {
  return basename(argv[0] ?? '') === 'node' && argv.slice(1).some((word) => file.test(word))
}

export function hostCgroup(boot: HostBoot, host: string): string {
  return cgroupFolder(boot.cgroupRoot, boot.places.lab, host)
}

export function hostPower(boot: HostBoot, host: string): Power {
  const folder = hostCgroup(boot, host)
  if (initOf(folder) === undefined) return 'off'
  return isFrozen(folder) ? 'frozen' : 'on'
}

/** Boots the host: fresh namespaces, a new boot id, the state folder as the last power cut left it. */
export async function powerOn(boot: HostBoot, host: LabHostSpec): Promise<Result<void>> {
  const { places } = boot
  const cgroup = hostCgroup(boot, host.id)
  if (initOf(cgroup) !== undefined) return fail(failure('conflict', `${host.id} is on already`))
  // What an earlier, interrupted attempt left would be taken for this boot's.
  const cleared = await clearHost(boot, host.id)
  if (!cleared.ok) return cleared
  const state = hostFolder(places, host.id)
  mkdirSync(state, { recursive: true })
  const grouped = createCgroup(cgroup)
  if (!grouped.ok) return grouped
  const controlled = createControllers(places.lab, host.id)
  if (!controlled.ok) return controlled
  const wired = await createHostNamespace(places.lab, host)
  if (!wired.ok) return wired
  const cut = await applyCuts(places, host.id)
  if (!cut.ok) return cut
  const args = [
    ...['--netns', namespaceFile(places.lab, host.id)],
    ...['--cgroup', cgroup],
    ...controlled.value.flatMap(({ options, folder }) => ['--controller', `${options}:${folder}`]),
    ...['--state', state],
    ...['--hostname', host.id],
    '--',
    ...boot.command(host),
  ]
  // All lab hosts run the same sources, so they share what Node has compiled of them.
  const env = { NODE_COMPILE_CACHE: boot.compileCache, STEAD_POWER_STRIP: powerStripSocket(places) }
  const started = await runCommand(join(boot.nativeDir, 'lab-init'), args, { env })
  return started.ok ? ok() : started
}

/**
 * Pulls the plug. The links go first: otherwise the dying processes' sockets would say good-bye to their peers, which
 * a host without power cannot do. Returns when the kernel says that no process of the host is left.
 */
export async function powerOff(boot: HostBoot, host: string): Promise<Result<void>> {
  if (hostPower(boot, host) === 'off') return fail(failure('conflict', `${host} is off already`))
  const dropped = await dropLinks(boot.places.lab, host)
  if (!dropped.ok) return dropped
  return clearHost(boot, host)
}

/** Processes, control group and namespace of a host, in whatever condition they are. */
async function clearHost(boot: HostBoot, host: string): Promise<Result<void>> {
  const cgroup = hostCgroup(boot, host)
  const groups = controllers(boot.places.lab, host)
  const killed = await killGroup(cgroup, freezerOf(groups))
  if (!killed.ok) return killed
  const removed = await destroyNamespace(boot.places.lab, host)
  if (!removed.ok) return removed
  for (const folder of [...groups.map((group) => group.folder), cgroup]) {
    const emptied = existsSync(folder) ? await removeCgroup(folder) : ok()
    if (!emptied.ok) return emptied
  }
  return ok()
}

export async function freezeHost(boot: HostBoot, host: string, frozen: boolean): Promise<Result<void>> {
  const power = hostPower(boot, host)
  if (power === 'off') return fail(failure('conflict', `${host} is off`, { hint: `Use: stead lab power-on ${host}` }))
  return setFrozen(hostCgroup(boot, host), frozen)
}

/** Sends a signal to the host's processes of one kind. The value is the ids that got it, as this machine counts them. */
export function signalProcess(
  boot: HostBoot,
  host: string,
  kind: ProcessKind,
  signal: NodeJS.Signals,
): Result<readonly number[]> {
  const pids = processesOf(hostCgroup(boot, host)).filter((pid) => IS_OF_KIND[kind](argvOf(pid)))
  const reached = pids.filter((pid) => sendSignal(pid, signal))
  if (reached.length > 0) return ok(reached)
  const hint = hostPower(boot, host) === 'off' ? `${host} is off.` : `See: stead lab exec ${host} -- ps axf`
  return fail(failure('not_found', `no ${kind} runs on ${host}`, { hint }))
}

/** The command line that runs `command` on the host: in its control group first, so that a power cut takes it along. */
export function execOnHost(boot: HostBoot, host: string, command: readonly string[]): Result<readonly string[]> {
  const cgroup = hostCgroup(boot, host)
  const init = initOf(cgroup)
  if (init === undefined)
    return fail(failure('conflict', `${host} is off`, { hint: `Use: stead lab power-on ${host}` }))
  const enter = ['nsenter', '--target', String(init), '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--']
  const groups = controllers(boot.places.lab, host).map(({ folder }) => folder)
  return ok(joinedTo([cgroup, ...groups].join(' '), [...enter, ...command]))
}

/** Prefixes a command so that it runs inside a control group, or several with blanks between. */
export function joinedTo(cgroup: string, command: readonly string[]): readonly string[] {
  return ['sh', '-c', 'for g in $0; do echo 0 > "$g/cgroup.procs" || exit 1; done; exec "$@"', cgroup, ...command]
}

/**
 * Process 1 of the host, by this machine's count: the process of the group that is 1 in a pid namespace one level
 * down. Nothing is noted in a file, so nothing can be stale. A zombie is dead: the kernel lets process 1 become one
 * only after everything else in its namespace has died.
 */
function initOf(cgroup: string): number | undefined {
  return processesOf(cgroup).find((pid) => {
    const status = readProc(pid, 'status')
    return /^NSpid:\t\d+\t1$/m.test(status) && !/^State:\t[ZX]/m.test(status)
  })
}

function argvOf(pid: number): readonly string[] {
  return readProc(pid, 'cmdline').split('\0').filter(Boolean)
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch (cause) {
    if (isGone(cause)) return ''
    throw cause
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (cause) {
    if (isGone(cause)) return false
    throw cause
  }
}
