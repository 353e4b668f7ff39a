/** Programs of the system that do one thing and end: their answer within a time, whatever becomes of them. */
import { execFile } from 'node:child_process'
import { constants } from 'node:os'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { ProgramRunner, type ProgramCall, type ProgramEnd, type RunningProgram } from './program-runner.ts'

export interface ProgramAnswer {
  /** Exit status. */
  readonly status: number
  readonly output: string
}

export interface ProgramOptions extends Pick<ProgramCall, 'env' | 'input'> {
  /** Exit statuses that are an answer; 0 when absent. */
  readonly accepted?: readonly number[]
}

const OUTPUT_BYTES_MAX = 64 << 20

let runner: ProgramRunner | undefined

/** From now on programs are started by `stead-runner`, at this path, instead of by Node's fork of this process. */
export function startProgramsBy(path: string): void {
  runner = new ProgramRunner(path)
}

/** How a program ended that is waited for as long as it takes. */
export function startProgram(call: ProgramCall): RunningProgram {
  return runner?.run(call) ?? startDirectly(call)
}

/**
 * Fails with `internal` when it cannot be run, ends with another status than those `accepted`, or has not ended in time. It
 * is killed then, and not waited for: a program that the kernel keeps on a dead disk does not die.
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  timeoutMs: number,
  { accepted = [0], ...options }: ProgramOptions = {},
): Promise<Result<ProgramAnswer>> {
  const running = startProgram({ command, args, ...options })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), timeoutMs)))
  const end = await Promise.race([running.ended, late])
  clearTimeout(timer)
  if (!end) {
    running.kill()
    return fail(failure('internal', `${command} ${args.join(' ')} has not ended within ${timeoutMs} ms`))
  }
  if (end.how === 'exited' && accepted.includes(end.number)) return ok({ status: end.number, output: end.output })
  return fail(failure('internal', `${command} failed: ${wordsOf(end)}`))
}

/** The last that is known of a program that failed. */
export function wordsOf({ how, number, output, errors }: ProgramEnd): string {
  if (how === 'not-started') return `it cannot be run (${nameOf(constants.errno, number)})`
  if (how === 'killed') return `it was ended by ${nameOf(constants.signals, number)}`
  return errors.trim() || output.trim().split('\n').at(-1) || (how === 'exited' ? `exit status ${number}` : 'no answer')
}

function nameOf(names: object, number: number): string {
  return Object.entries(names).find(([, value]) => value === number)?.[0] ?? String(number)
}

/** By Node itself: for what runs without an agent's installation. */
function startDirectly({ command, args, env, input = '' }: ProgramCall): RunningProgram {
  let kill = () => {}
  const ended = new Promise<ProgramEnd>((resolve) => {
    const options = { encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX, ...(env ? { env } : {}) } as const
    const child = execFile(command, args, options, (error, output, errors) => {
      const ending: Pick<ProgramEnd, 'how' | 'number'> =
        error === null
          ? { how: 'exited', number: 0 }
          : typeof error.code === 'number'
            ? { how: 'exited', number: error.code }
            : error.signal
              ? { how: 'killed', number: constants.signals[error.signal] }
              : { how: 'not-started', number: constants.errno[error.code as keyof typeof constants.errno] ?? 0 }
      resolve({ ...ending, output, errors })
    })
    kill = () => {
      child.kill('SIGKILL')
      child.unref()
    }
    // It may end without reading: that is told by its end.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
  return { ended, kill: () => kill() }
}
