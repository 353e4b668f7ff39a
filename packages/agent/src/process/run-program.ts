/** Programs of the system that do one thing and end: their answer within a time, whatever becomes of them. */
import { execFile } from 'node:child_process'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface ProgramAnswer {
  /** Exit status. */
  readonly status: number
  readonly output: string
}

/**
 * Fails with `internal` when it cannot be run, ends with another status than those `accepted`, or has not ended in time. It
 * is killed then, and not waited for: a program that the kernel keeps on a dead disk does not die.
 */
export function runProgram(
  command: string,
  args: readonly string[],
  timeoutMs: number,
  accepted: readonly number[] = [0],
): Promise<Result<ProgramAnswer>> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { encoding: 'utf8', maxBuffer: 1 << 20 }, (error, output, complaint) => {
      clearTimeout(timer)
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined
      if (status !== undefined && accepted.includes(status)) return resolve(ok({ status, output }))
      const said = complaint.trim() || output.trim().split('\n').at(-1) || error?.message || 'it said nothing'
      resolve(fail(failure('internal', `${command} failed: ${said}`, { cause: error })))
    })
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      child.unref()
      resolve(fail(failure('internal', `${command} ${args.join(' ')} has not ended within ${timeoutMs} ms`)))
    }, timeoutMs)
  })
}
