/** What speaks against a live move of a container, by what runs in it now. docs/internals/containers.md. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../../process/run-program.ts'
import { hideMount } from '../container-mounts.ts'
import { childrenOf } from '../lxc-attach.ts'
import type { LxcContainer } from '../lxc-container.ts'
import { readText } from '../lxc-processes.ts'
import type { Interface } from './checkpoint.ts'

const LOOK_TIMEOUT_MS = 5_000
/** Of services, in a reason. */
const NAMES_MAX = 3

/** What there is of a network that would not come along, one kind a line. */
const NETWORK = `
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding 2>/dev/null | grep -q 1 && echo forwarding
cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null | grep -q . && echo filter
nft list tables 2>/dev/null | grep -q . && echo filter
ip -json link
`

/**
 * Fails with what speaks against a checkpoint of what runs in the container now; looked at before anything is stopped. `names`: of
 * the interfaces that it was given. The result is theirs.
 */
export async function lookBefore(lxc: LxcContainer, names: readonly string[]): Promise<Result<readonly Interface[]>> {
  const refuse = (reason: string) => fail(failure('conflict', reason))
  const init = lxc.initPid()
  if (init === undefined) return refuse('it does not run just now')
  const own = new Set(descendantsOf(init))
  if (lxc.processIds().some((pid) => !own.has(pid)))
    return refuse('a command that was begun from outside (`stead ct exec`, `ct enter`) runs in it')
  if ([...own].some(isOfOuterSession))
    return refuse(
      'a program of an earlier `stead ct exec` runs on in the session of that command (`setsid` gives it its own)',
    )
  const nested = nestedNamespaces(init, own)
  if (nested !== undefined) return refuse(nested)
  const looked = await runProgram('nsenter', [`--net=/proc/${init}/ns/net`, 'sh', '-c', NETWORK], LOOK_TIMEOUT_MS)
  if (!looked.ok) return looked
  const lines = looked.value.output.trim().split('\n')
  if (lines.includes('forwarding')) return refuse('it forwards packets, and that setting would not come along')
  if (lines.includes('filter')) return refuse('it filters packets itself, and its rules would not come along')
  const found = JSON.parse(lines.at(-1) ?? '[]') as readonly { readonly ifname: string; readonly ifindex: number }[]
  const links = found
    .filter(({ ifname }) => ifname !== 'lo')
    .map(({ ifname: name, ifindex: index }) => ({ name, index }))
  const more = links.filter(({ name }) => !names.includes(name))
  if (more.length === 0) return ok(links)
  return refuse(`it has made network interfaces itself (${more.map(({ name }) => name).join(', ')})`)
}

/**
 * systemd leaves an empty one, which nobody can write to, for each service whose credentials it has looked for, for as long as
 * that service is up (`/run/credentials`). It is a ramfs, which CRIU does not know; what is empty is not missed. One that does not
 * go is CRIU's to complain about.
 */
export async function dropEmptyCredentials(lxc: LxcContainer, nativeDir: string): Promise<void> {
  const init = lxc.initPid()
  if (init === undefined) return
  for (const line of readFileSync(`/proc/${init}/mountinfo`, 'utf8').split('\n')) {
    const [, device = '', place = ''] = /^\d+ \d+ (\S+) \S+ (\/run\/credentials\/\S+) .* - ramfs /.exec(line) ?? []
    if (device === '' || !isEmpty(`/proc/${init}/root${place}`)) continue
    await hideMount(nativeDir, { device, keeper: lxc.keeperPid, processes: lxc.processIds() })
  }
}

/** One of the kinds that CRIU writes down once for the whole container. */
const NAMESPACES = {
  uts: 'a host name of its own (`ProtectHostname=`)',
  ipc: 'shared memory of its own (`PrivateIPC=`)',
  pid: 'process ids of its own',
  user: 'user ids of its own (`PrivateUsers=`)',
  time: 'a clock of its own',
  net: 'a network of its own (`PrivateNetwork=`)',
} as const

/**
 * Mounts of its own are another matter: one such service comes along, systemd-logind for one. With two of them CRIU 4.2.1 fails in
 * the restore, when nothing can be called back any more: what is mounted at /run/systemd/incoming in each of them has the same
 * master and another root, and it takes one for the pattern of the other ("Can't copy sharing").
 */
function nestedNamespaces(init: number, pids: Iterable<number>): string | undefined {
  const withMounts = new Map<string, string>()
  for (const pid of pids) {
    const name = () => readText(`/proc/${pid}/comm`).trim()
    for (const [kind, what] of Object.entries(NAMESPACES))
      if (nestedIn(init, pid, kind)) return `${name()} has ${what}, which CRIU cannot take along`
    const mounts = nestedIn(init, pid, 'mnt')
    if (mounts !== undefined) withMounts.set(mounts, name())
  }
  if (withMounts.size < 2) return undefined
  const names = [...new Set(withMounts.values())].slice(0, NAMES_MAX).join(', ')
  return `${withMounts.size} of its services have mounts of their own (${names}: \`PrivateTmp=\` and the like), and CRIU takes one such service along`
}

/** The process's namespace of this kind, where that is not init's. */
function nestedIn(init: number, pid: number, kind: string): string | undefined {
  const [its, ours] = [pid, init].map((each) => namespaceOf(each, kind))
  return its === ours || ours === undefined ? undefined : its
}

function namespaceOf(pid: number, kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch {
    // It has ended.
    return undefined
  }
}

function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0
  } catch {
    return false
  }
}

/** The leader of its session is, or was, no process of the container: it has no number there. */
function isOfOuterSession(pid: number): boolean {
  return /^NSsid:.*\s0$/m.test(readText(`/proc/${pid}/status`))
}

function descendantsOf(init: number): readonly number[] {
  return [init, ...childrenOf(init).flatMap(descendantsOf)]
}
