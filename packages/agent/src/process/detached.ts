/**
 * Processes that outlive the agent: QEMU, qemu-storage-daemon, etcd, the guardian. Each is started by the small
 * `stead-run-guest` helper (native/), which leaves the agent's session, optionally enters the guests' pid
 * namespace, drops privileges and writes a pid file with the process's start time. A later agent adopts it.
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { startProgram, wordsOf } from './run-program.ts'

export interface DetachedSpec {
  readonly command: string
  readonly args: readonly string[]
  readonly pidFile: string
  readonly stdoutPath: string
  readonly stderrPath: string
  /** Pid of the init of the namespace to start in; 0 or absent: the agent's own. */
  readonly namespacePid?: number
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly nice?: number
  /** How late the kernel may let its timers end, ms, so that it can end several at once; 50 µs when absent. */
  readonly timerSlackMs?: number
  readonly env?: NodeJS.ProcessEnv
}

export interface DetachedProcess {
  readonly pid: number
  /** Clock ticks since boot, field 22 of /proc/PID/stat: tells a recycled pid from the process. */
  readonly startTime: string
}

/** Starts the process and returns once its exec succeeded. `helper` is the path of `stead-run-guest`. */
export async function startDetached(helper: string, spec: DetachedSpec): Promise<Result<DetachedProcess>> {
  const args = [
    '--ns-pid',
    String(spec.namespacePid ?? 0),
    '--stdout',
    spec.stdoutPath,
    '--stderr',
    spec.stderrPath,
    '--pidfile',
    spec.pidFile,
  ]
  if (spec.user) args.push('--uid', String(spec.user.uid), '--gid', String(spec.user.gid))
  if (spec.nice !== undefined) args.push('--nice', String(spec.nice))
  if (spec.timerSlackMs !== undefined) args.push('--timer-slack', String(spec.timerSlackMs))
  const { command, env } = spec
  const running = startProgram({ command: helper, args: [...args, '--', command, ...spec.args], env })
  const end = await running.ended
  if (end.how === 'not-started')
    return fail(failure('internal', `Cannot run ${helper}: ${wordsOf(end)}`, { hint: 'Run ./dev setup' }))
  const started = end.how === 'exited' && end.number === 0 ? readPidFile(spec.pidFile) : undefined
  return started ? ok(started) : fail(failure('internal', `${command} did not start: ${wordsOf(end)}`))
}

/** The process that the pid file names, if that very process still lives. */
export function readPidFile(path: string): DetachedProcess | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  const [pidText, startTime] = text.trim().split(/\s+/)
  const pid = Number(pidText)
  if (!Number.isInteger(pid) || pid <= 0 || !startTime) return undefined
  const found = { pid, startTime }
  return isAlive(found) ? found : undefined
}

/**
 * True while this very process exists and is not a zombie. One whose first thread is a zombie lives on in its others: until
 * the last of them is gone its files and sockets are open.
 */
export function isAlive(process_: DetachedProcess): boolean {
  const stat = readStat(process_.pid)
  if (stat === undefined || stat.startTime !== process_.startTime || stat.state === 'X') return false
  return stat.state !== 'Z' || stat.threads > 1
}

interface ProcessStat {
  readonly state: string
  readonly startTime: string
  readonly threads: number
}

export function readStat(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name may hold spaces and parentheses: fields are counted after its closing one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startTime: fields[19] ?? '', threads: Number(fields[17]) }
  } catch {
    return undefined
  }
}

/** Sends the signal if the very process still lives. */
export function signal(process_: DetachedProcess, name: NodeJS.Signals): void {
  if (!isAlive(process_)) return
  try {
    process.kill(process_.pid, name)
  } catch (error) {
    // It ended between the check and the call: what the caller wanted.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** True when the process is gone within the time. Polls: the agent is not its parent, so no event tells. */
export async function waitGone(process_: DetachedProcess, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (isAlive(process_)) {
    if (performance.now() >= deadline) return false
    await sleep(3)
  }
  return true
}

/** SIGKILL, and proof that it worked. */
export async function killDetached(
  process_: DetachedProcess,
  pidFile: string,
  timeoutMs = 5_000,
): Promise<Result<void>> {
  signal(process_, 'SIGKILL')
  if (!(await waitGone(process_, timeoutMs))) {
    return fail(
      failure('internal', `Process ${process_.pid} does not die`, {
        hint: 'It is probably stuck in the kernel on a dead disk; see `dmesg`',
      }),
    )
  }
  rmSync(pidFile, { force: true })
  return ok()
}
