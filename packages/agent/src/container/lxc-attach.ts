/** Running programs in a container: one whose output is wanted, and one on a terminal for a person. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { LXC_PATH, type LxcPrograms } from './lxc-spec.ts'

export interface ExecLimits {
  readonly timeoutMs: number
  /** Of stdout and of stderr each; more is read and dropped. */
  readonly outputBytesMax: number
}

export interface ExecOutcome {
  /** 128 + signal when one ended it. */
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: Buffer
  /** Something was dropped. */
  readonly truncated: boolean
}

/** Where lxc-attach finds the container. */
export interface AttachTarget {
  readonly programs: LxcPrograms
  readonly id: string
  /** Host's pid of `stead-container run`. */
  readonly keeperPid: number
}

export interface ContainerTerminal {
  /** What is typed and shown. Destroying it hangs up. */
  readonly stream: Duplex
  readonly resize: (columns: number, rows: number) => void
  /** The program's exit code. */
  readonly ended: Promise<number>
}

/** A login shell, bash where there is one. */
export const LOGIN_SHELL = ['/bin/sh', '-c', 'if [ -x /bin/bash ]; then exec /bin/bash -l; fi; exec /bin/sh -l']

/** Runs it as the container's root and waits for its end. Fails with `timeout` once it and its children are killed. */
export async function execIn(
  target: AttachTarget,
  command: readonly string[],
  limits: ExecLimits,
  stdin?: Buffer,
): Promise<Result<ExecOutcome>> {
  const child = spawn(join(target.programs.nativeDir, 'stead-container'), attachArguments(target, [], command), {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const stdout = collect(child.stdout, limits.outputBytesMax)
  const stderr = collect(child.stderr, limits.outputBytesMax)
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdin)
  let late = false
  const timer = setTimeout(() => {
    late = true
    void killTree(child)
  }, limits.timeoutMs)
  const code = await exitCode(child)
  clearTimeout(timer)
  if (late) {
    return fail(
      failure('timeout', `${command[0]} did not end within ${limits.timeoutMs} ms and was killed`, {
        hint: 'Give it more time, or run it in the background of the container',
      }),
    )
  }
  if (code === undefined) return fail(failure('internal', 'Cannot run stead-container', { hint: 'Run ./dev setup' }))
  const truncated = stdout.dropped || stderr.dropped
  return ok({ code, stdout: Buffer.concat(stdout.pieces), stderr: Buffer.concat(stderr.pieces), truncated })
}

/** A program on a terminal of its own, for one person. */
export function openTerminal(
  target: AttachTarget,
  command: readonly string[],
  size: { readonly columns: number; readonly rows: number },
): ContainerTerminal {
  const args = attachArguments(target, ['--pty', String(size.columns), String(size.rows)], command)
  const child = spawn(join(target.programs.nativeDir, 'stead-container'), args, {
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
  }) as ChildProcess & { stdin: Writable; stdout: Readable }
  const { stdin: input, stdout: output } = child
  const control = child.stdio[3] as Writable
  for (const pipe of [input, control]) pipe.on('error', () => undefined)
  const stream = new Duplex({
    read: () => void output.resume(),
    write: (bytes: Buffer, _encoding, done) => void input.write(bytes, () => done()),
    final: (done) => void input.end(done),
    destroy: (error, done) => {
      input.destroy()
      output.destroy()
      done(error)
    },
  })
  output.on('data', (bytes: Buffer) => void (stream.push(bytes) || output.pause()))
  output.once('end', () => stream.push(null))
  return {
    stream,
    resize: (columns, rows) => void control.write(`${columns} ${rows}\n`),
    ended: exitCode(child).then((code) => code ?? 127),
  }
}

function attachArguments(target: AttachTarget, more: readonly string[], command: readonly string[]): readonly string[] {
  const environment = [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'TERM=xterm-256color',
    'HOME=/root',
  ]
  return [
    ...['attach', String(target.keeperPid), ...more, '--', target.programs.lxcAttach],
    ...['-n', target.id, '-P', LXC_PATH, '--clear-env'],
    ...environment.flatMap((each) => ['-v', each]),
    ...['--', ...command],
  ]
}

function collect(stream: Readable, bytesMax: number) {
  const taken = { pieces: [] as Buffer[], bytes: 0, dropped: false }
  stream.on('data', (piece: Buffer) => {
    const kept = piece.subarray(0, bytesMax - taken.bytes)
    if (kept.length < piece.length) taken.dropped = true
    if (kept.length === 0) return
    taken.pieces.push(kept)
    taken.bytes += kept.length
  })
  return taken
}

/** Its own end counts: a child it left in the background may hold the pipes for ever. */
function exitCode(child: ChildProcess): Promise<number | undefined> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(undefined))
    child.once('exit', (code, signal) => {
      // What is in the pipes already is still read.
      const done = () => resolve(code ?? (signal === 'SIGKILL' ? 137 : 128))
      const timer = setTimeout(done, 100)
      child.once('close', () => {
        clearTimeout(timer)
        done()
      })
    })
  })
}

/** The program and what it started, deepest first, until nothing is left; then lxc-attach and what holds it. */
async function killTree(child: ChildProcess): Promise<void> {
  const pid = child.pid
  if (pid === undefined) return
  for (let round = 0; round < 50; round++) {
    const below = childrenOf(pid).flatMap(descendants)
    if (below.length === 0) break
    for (const each of below.reverse()) kill(each)
    await sleep(5)
  }
  child.kill('SIGKILL')
  for (const pipe of child.stdio) pipe?.destroy()
}

function descendants(pid: number): readonly number[] {
  return [pid, ...childrenOf(pid).flatMap(descendants)]
}

/** Host's pids. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended meanwhile.
  }
}
