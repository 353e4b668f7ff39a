/**
 * Starts programs through `stead-runner` (native/), which stays: for a program that the agent starts itself Node forks, which
 * with the agent's memory takes milliseconds of processor time in which nothing else is done.
 */
import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { assert } from '@stead/core/assert.ts'

export interface ProgramCall {
  readonly command: string
  readonly args: readonly string[]
  /** Absent: the agent's own. */
  readonly env?: NodeJS.ProcessEnv | undefined
  /** What it finds on its standard input; absent: nothing. */
  readonly input?: string | undefined
}

export interface ProgramEnd {
  /** `not-started`: `number` is the errno. */
  readonly how: 'exited' | 'killed' | 'not-started' | 'unknown'
  /** Exit status, signal or errno. */
  readonly number: number
  readonly output: string
  readonly errors: string
}

export interface RunningProgram {
  /** Once it has ended, even if what it started still holds its output open. Never rejects. */
  readonly ended: Promise<ProgramEnd>
  readonly kill: () => void
}

const HOW = ['exited', 'killed', 'not-started'] as const
const WORD_BYTES = 4
/** After the length: id, how, number, lengths of output and errors. */
const ANSWER_WORDS = 5

export class ProgramRunner {
  readonly #path: string
  readonly #waiting = new Map<number, (end: ProgramEnd) => void>()
  #process: { readonly stdin: Socket; readonly stdout: Socket } | undefined
  #received: Buffer = Buffer.alloc(0)
  #lastId = 0

  /** `path`: of `stead-runner`. It is started with the first program. */
  constructor(path: string) {
    this.#path = path
  }

  run(call: ProgramCall): RunningProgram {
    // A zero byte would end a word and begin another.
    assert(![call.command, ...call.args].some((word) => word.includes('\0')), 'a word of a command holds no zero byte')
    const id = (this.#lastId = (this.#lastId + 1) >>> 0)
    const ended = new Promise<ProgramEnd>((resolve) => this.#waiting.set(id, resolve))
    this.#send(requestOf(id, call))
    return { ended, kill: () => this.#waiting.has(id) && this.#send(framed([id, 1])) }
  }

  #send(request: Buffer): void {
    this.#process ??= this.#start()
    // While somebody waits, this process does not end for want of other work.
    this.#process.stdout.ref()
    this.#process.stdin.write(request)
  }

  #start() {
    const child = spawn(this.#path, [], { stdio: ['pipe', 'pipe', 'inherit'] })
    const pipes = { stdin: child.stdin as unknown as Socket, stdout: child.stdout as unknown as Socket }
    child.stdout.on('data', (piece: Buffer) => this.#receive(piece))
    const over = (why: string) => {
      if (this.#process !== pipes) return
      this.#process = undefined
      this.#received = Buffer.alloc(0)
      // What was under way may have been done or not; the next one finds a new runner.
      const end: ProgramEnd = { how: 'unknown', number: 0, output: '', errors: why }
      for (const [id, resolve] of this.#waiting) {
        this.#waiting.delete(id)
        resolve(end)
      }
    }
    child.once('error', (error) => over(`stead-runner: ${error.message}`))
    child.once('exit', (code, signal) => over(`stead-runner ended (${signal ?? `status ${code}`})`))
    // Of one that has just ended: its exit is told as well.
    child.stdin.on('error', () => undefined)
    child.unref()
    pipes.stdin.unref()
    return pipes
  }

  #receive(piece: Buffer): void {
    this.#received = this.#received.length === 0 ? piece : Buffer.concat([this.#received, piece])
    while (this.#received.length >= WORD_BYTES) {
      const end = WORD_BYTES + this.#received.readUInt32LE(0)
      if (this.#received.length < end) return
      this.#settle(this.#received.subarray(WORD_BYTES, end))
      this.#received = this.#received.subarray(end)
    }
  }

  #settle(answer: Buffer): void {
    const [id = 0, how = 0, number = 0, outputBytes = 0] = Array.from({ length: ANSWER_WORDS }, (_, index) =>
      answer.readUInt32LE(index * WORD_BYTES),
    )
    const text = answer.subarray(ANSWER_WORDS * WORD_BYTES)
    const [output, errors] = [text.subarray(0, outputBytes), text.subarray(outputBytes)]
    this.#waiting.get(id)?.({
      how: HOW[how] ?? 'unknown',
      number,
      output: output.toString('utf8'),
      errors: errors.toString('utf8'),
    })
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#process?.stdout.unref()
  }
}

function requestOf(id: number, { command, args, env, input = '' }: ProgramCall): Buffer {
  const words = [command, ...args]
  const variables = Object.entries(env ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${value}`,
  )
  const texts = Buffer.from([...words, ...variables].map((word) => `${word}\0`).join(''))
  const given = Buffer.from(input)
  return framed([id, 0, words.length, variables.length, given.length], texts, given)
}

/** Every machine that Stead runs on is little-endian. */
function framed(words: readonly number[], ...texts: readonly Buffer[]): Buffer {
  const head = Buffer.alloc((words.length + 1) * WORD_BYTES)
  const rest = texts.reduce((bytes, text) => bytes + text.length, words.length * WORD_BYTES)
  for (const [index, word] of [rest, ...words].entries()) head.writeUInt32LE(word, index * WORD_BYTES)
  return Buffer.concat([head, ...texts])
}
