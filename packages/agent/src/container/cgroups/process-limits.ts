/**
 * Limits that the kernel knows for each process only. Children inherit them, so that init's hold for all; a running
 * container's processes are changed one by one, by `prlimit` of util-linux.
 */
import { readFileSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import { PAGE_BYTES } from '@stead/core/model/container-resources.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../../process/run-program.ts'

const COMMAND_TIMEOUT_MS = 5_000
/** Processes that are born meanwhile of a parent not yet changed are found by looking again. */
const PASSES_MAX = 5

/** RLIMIT_DATA, not RLIMIT_AS: as OpenVZ did, it counts what is private and writable, not what is only reserved. */
const RLIMITS = [
  { resource: 'lockedpages', rlimit: 'memlock', scale: PAGE_BYTES, title: 'Max locked memory' },
  { resource: 'privvmpages', rlimit: 'data', scale: PAGE_BYTES, title: 'Max data size' },
  { resource: 'numfile', rlimit: 'nofile', scale: 1, title: 'Max open files' },
  { resource: 'numsiginfo', rlimit: 'sigpending', scale: 1, title: 'Max pending signals' },
] as const

/** Those of `limits` that hold for each process. */
export function limitsOfProcesses(limits: ContainerLimits): ContainerLimits {
  return Object.fromEntries(
    RLIMITS.flatMap(({ resource }) => {
      const bound = limits[resource]
      return bound === undefined ? [] : [[resource, bound] as const]
    }),
  )
}

interface ProcessLimit {
  readonly rlimit: string
  /** `soft:hard` */
  readonly value: string
}

export function processLimitLines(limits: ContainerLimits): string[] {
  return processLimits(limits).map(({ rlimit, value }) => `lxc.prlimit.${rlimit} = ${value}`)
}

/** A barrier without a limit is both: an open end above the agent's own would need CAP_SYS_RESOURCE. */
function processLimits(limits: ContainerLimits): ProcessLimit[] {
  return RLIMITS.flatMap(({ resource, rlimit, scale }) => {
    const bound = limits[resource]
    const soft = bound?.barrier || bound?.limit
    const hard = bound?.limit ?? soft
    return soft === undefined || hard === undefined ? [] : [{ rlimit, value: `${soft * scale}:${hard * scale}` }]
  })
}

/**
 * Changes the limits of a running container's processes. What had a limit and has none any more gets the agent's own,
 * as a container without limits has. Raising a hard limit needs CAP_SYS_RESOURCE on the host.
 */
export async function setProcessLimits(
  processes: () => readonly number[],
  limits: ContainerLimits,
  before: ContainerLimits = {},
): Promise<Result<void>> {
  const wanted = processLimits(limits)
  const gone = processLimits(before).filter(({ rlimit }) => wanted.every((limit) => limit.rlimit !== rlimit))
  const args = [...wanted, ...gone.map(({ rlimit }) => ownLimit(rlimit))].map(
    ({ rlimit, value }) => `--${rlimit}=${value}`,
  )
  if (args.length === 0) return ok()
  const done = new Set<number>()
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const left = processes().filter((pid) => !done.has(pid))
    if (left.length === 0) break
    for (const pid of left) {
      const set = await setOne(pid, args)
      if (!set.ok) return set
      done.add(pid)
    }
  }
  return ok()
}

async function setOne(pid: number, args: readonly string[]): Promise<Result<void>> {
  const set = await runProgram('prlimit', ['--pid', String(pid), ...args], COMMAND_TIMEOUT_MS)
  if (set.ok || /No such process/.test(set.error.message)) return ok()
  return fail(
    failure('hypervisor', 'the limits of the running processes cannot be changed', {
      cause: set.error,
      hint: 'To raise them CAP_SYS_RESOURCE is needed; the new limits hold from the next start on',
    }),
  )
}

function ownLimit(rlimit: string): ProcessLimit {
  const title = RLIMITS.find((entry) => entry.rlimit === rlimit)?.title ?? ''
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(title))
  const [soft = 'unlimited', hard = 'unlimited'] = line?.slice(title.length).trim().split(/\s+/) ?? []
  return { rlimit, value: `${soft}:${hard}` }
}
