import { spawn } from 'node:child_process'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'

export interface CommandOptions {
  /** Text for the command's standard input; without it the input is empty. */
  readonly input?: string
  /** The command is killed after this long. */
  readonly timeoutMs?: number
  readonly cwd?: string
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a program to its end. The value is its standard output; a failure carries its standard error. */
export function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Result<string>> {
  const timeoutMs = options.timeoutMs ?? 20_000
  const shown = [file, ...args].join(' ')
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
    })
    let output = ''
    let complaint = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    child.on('error', (cause) => {
      const hint = 'Run ./dev setup: it installs the programs that the lab needs.'
      resolve(fail(failure('internal', `cannot run ${file}`, { hint, cause })))
    })
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(ok(output))
      const how = signal === null ? `exit code ${code}` : `signal ${signal} (limit ${timeoutMs} ms)`
      resolve(fail(failure('internal', `${shown}: ${how}: ${complaint.trim()}`, { cause: complaint })))
    })
    // A program that ends before it has read its input is judged by its exit code, not by the broken pipe.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}
