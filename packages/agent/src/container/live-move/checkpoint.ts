/**
 * The processes of a container, stopped and written down by CRIU; they stay stopped until `goOn`. docs/internals/containers.md.
 *
 *   <images>/*.img       CRIU's own
 *   <images>/addresses, routes, routes6   of its network, as `ip … save` writes them
 *   <images>/checkpoint.json              what who restores it must know besides
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { readStat } from '../../process/detached.ts'
import { runProgram } from '../../process/run-program.ts'
import type { LxcContainer } from '../lxc-container.ts'
import { readText, sendSignal } from '../lxc-processes.ts'
import { whyIn } from './criu-complaint.ts'

/** CRIU gives up by itself before (10 s to stop all processes). */
const DUMP_TIMEOUT_MS = 60_000
const LINK_TIMEOUT_MS = 5_000

export interface Checkpoint {
  /** Files of the host's /dev that are mounted one by one. */
  readonly devices: readonly string[]
  /** The console's, as CRIU names terminals from outside: `tty[rdev:dev]`, hexadecimal. */
  readonly tty: string
  readonly links: readonly Interface[]
}

export interface Interface {
  readonly name: string
  /** Its programs may know it by this. */
  readonly index: number
}

/** What must be known when the container goes on here. */
export interface StoppedContainer {
  /** They were stopped by somebody inside, and stay so. */
  readonly stoppedBefore: readonly number[]
}

export const CHECKPOINT_FILE = 'checkpoint.json'

/** Saved before the cards go down: a route without carrier is one that cannot be given back. */
const DUMP = `
set -e
init=$1; images=$2; criu=$3; links=$4; shift 4
cd "$images"
nsenter --net=/proc/$init/ns/net sh -ec 'ip address save >addresses; ip route save >routes; ip -6 route save >routes6'
for link in $links; do ip link set "$link" down; done
exec "$criu" dump --tree $init --images-dir "$images" --log-file dump.log -v2 --leave-stopped "$@"
`

/** After a failure the processes run as before; `goOn` is then to be called all the same, for its cards. */
export async function takeCheckpoint(
  lxc: LxcContainer,
  how: {
    readonly criu: string
    readonly images: string
    readonly hostEnds: readonly string[]
    readonly links: readonly Interface[]
  },
): Promise<Result<void>> {
  const init = lxc.initPid()
  if (init === undefined) return fail(failure('conflict', 'The container does not run just now'))
  const checkpoint = { ...mountsOf(init), links: how.links }
  writeFileSync(join(how.images, CHECKPOINT_FILE), JSON.stringify(checkpoint))
  const places = [init, how.images, how.criu, how.hostEnds.join(' ')].map(String)
  const args = ['-c', DUMP, 'sh', ...places, ...dumpArguments(init, lxc.cgroup, checkpoint)]
  const done = await runProgram('sh', args, DUMP_TIMEOUT_MS)
  if (done.ok) return ok()
  const said = whyIn(readText(join(how.images, 'dump.log'))) || done.error.message
  return fail(failure('hypervisor', `CRIU could not write down its processes: ${said}`, { cause: done.error }))
}

/** Before the checkpoint: what is stopped already stays so. */
export function stoppedProcesses(lxc: LxcContainer): readonly number[] {
  return lxc.processIds().filter((pid) => readStat(pid)?.state === 'T')
}

/** Its processes run on, and its cards are heard again. */
export async function goOn(
  lxc: LxcContainer,
  { stoppedBefore }: StoppedContainer,
  hostEnds: readonly string[],
): Promise<Result<void>> {
  for (const pid of lxc.processIds()) if (!stoppedBefore.includes(pid)) sendSignal(pid, 'SIGCONT')
  const up = await Promise.all(hostEnds.map((name) => runProgram('ip', ['link', 'set', name, 'up'], LINK_TIMEOUT_MS)))
  return up.find((each) => !each.ok) ?? ok()
}

function dumpArguments(init: number, cgroup: string, { devices, tty }: Checkpoint): readonly string[] {
  return [
    // Its cards are down, so nothing comes that would be answered and then forgotten.
    ...['--tcp-established', '--skip-in-flight', '--network-lock', 'skip', '--empty-ns', 'net'],
    ...['--file-locks', '--link-remap', '--ghost-limit', '64M', '--manage-cgroups=soft', ...cgroupRoots(init, cgroup)],
    ...devices.flatMap((name) => ['--external', `mnt[/dev/${name}]:dev-${name}`]),
    ...['--external', 'mnt[/dev/console]:dev-console', '--external', tty],
  ]
}

/** What it has below them is its own, and systemd's init is in such a one; where they are is the host's affair. */
function cgroupRoots(init: number, cgroup: string): readonly string[] {
  const lines = readText(`/proc/${init}/cgroup`).trim().split('\n')
  const groups = lines.map((line) => {
    const [all = '', controllers, path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    const end = `${path}/`.indexOf(`/${cgroup}/`)
    return [all, controllers, end === -1 ? path : path.slice(0, end + 1 + cgroup.length)]
  })
  const v1 = groups.filter(([, controllers]) => controllers)
  if (v1.length === 0) return ['--cgroup-root', groups[0]?.[2] ?? '/']
  return v1.flatMap(([, controllers = '', path]) => ['--cgroup-root', `${controllers}:${path}`])
}

function mountsOf(init: number): Pick<Checkpoint, 'devices' | 'tty'> {
  const mounts = readFileSync(`/proc/${init}/mountinfo`, 'utf8').split('\n')
  const devices = mounts.flatMap((line) => / \/dev\/([a-z0-9]+) .* - devtmpfs /.exec(line)?.[1] ?? [])
  const { rdev, dev } = statSync(`/proc/${init}/root/dev/console`)
  return { devices, tty: `tty[${rdev.toString(16)}:${dev.toString(16)}]` }
}
