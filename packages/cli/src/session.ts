/** What every command has at hand: where to print, the options that all share, the client, and how to fail. */
import type { Command } from 'commander'
import { createClient, type Client } from '@stead/api/client.ts'
import type { ShellSize } from '@stead/api/console-protocol.ts'
import { problemFromFailure } from '@stead/api/errors.ts'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import type { Transport } from '@stead/api/transport.ts'
import { failure, FailureError, FAILURES, hintOf, type Failure } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { readContext } from './context.ts'
import { foresightText } from './foresight-text.ts'
import { harmlessSentence, harmlessText } from './harmless-text.ts'
import { formatStructured, type OutputFormat } from './output.ts'
import { badArgument, parseDuration } from './quantities.ts'
import { unixTransport } from '@stead/client/node-transport.ts'

/** What is typed, or piped in. */
export interface TerminalInput extends AsyncIterable<Buffer> {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
  destroy(): unknown
}

export interface TerminalOutput {
  write(content: string | Uint8Array): unknown
  readonly isTTY?: boolean
  /** Undefined where it is no terminal. */
  window?(): ShellSize | undefined
  /** Calls the listener whenever that is another, until the returned function is called. */
  onWindow?(listener: (size: ShellSize) => void): () => void
}

/** The world of the command line; tests give their own. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv
  readonly stdout: TerminalOutput
  readonly stderr: { write(content: string): unknown; readonly isTTY?: boolean }
  readonly stdin?: TerminalInput
  readonly transport: Transport
  /** Calls the listener on Ctrl-C until the returned function is called. */
  onInterrupt(listener: () => void): () => void
  setExitCode(code: number): void
}

export const processTerminal: Terminal = {
  env: process.env,
  stdout: {
    write: (content) => process.stdout.write(content),
    get isTTY() {
      return process.stdout.isTTY
    },
    window: processWindow,
    onWindow(listener) {
      const onResize = () => {
        const size = processWindow()
        if (size) listener(size)
      }
      process.stdout.on('resize', onResize)
      return () => process.stdout.off('resize', onResize)
    },
  },
  stderr: process.stderr,
  // Not touched before a command reads it: opening it keeps the process alive.
  get stdin() {
    return process.stdin
  },
  transport: unixTransport,
  onInterrupt(listener) {
    process.once('SIGINT', listener)
    return () => process.off('SIGINT', listener)
  },
  setExitCode(code) {
    process.exitCode = code
  },
}

function processWindow(): ShellSize | undefined {
  const { columns, rows, isTTY } = process.stdout
  return isTTY && columns > 0 && rows > 0 ? { columns, rows } : undefined
}

/** As shells expect of a program ended by SIGINT. */
export const INTERRUPTED_EXIT_CODE = 130

interface SharedOptions {
  readonly output?: string
  readonly json?: boolean
  readonly wait?: boolean
  readonly timeout?: string
  readonly explain?: boolean
  readonly whatIf?: boolean
  readonly foreseen?: string
}

export class Session {
  readonly terminal: Terminal
  readonly format: OutputFormat
  readonly wait: boolean
  readonly waitTimeoutMs: number
  readonly isTimeoutGiven: boolean
  readonly explain: boolean
  readonly #foresight: { readonly whatIf?: boolean; readonly foreseen?: string }
  readonly #interrupted = new AbortController()

  constructor(terminal: Terminal, options: SharedOptions) {
    this.terminal = terminal
    this.format = outputFormat(options)
    this.wait = options.wait ?? true
    this.isTimeoutGiven = options.timeout !== undefined
    this.waitTimeoutMs = parseDuration(options.timeout ?? '60s', '--timeout')
    this.explain = options.explain ?? false
    const { whatIf, foreseen } = options
    this.#foresight = { ...(whatIf ? { whatIf } : {}), ...(foreseen === undefined ? {} : { foreseen }) }
  }

  /** Aborted by Ctrl-C. */
  get signal(): AbortSignal {
    return this.#interrupted.signal
  }

  interrupt(): void {
    this.#interrupted.abort(new Error('interrupted'))
  }

  async client(): Promise<Client> {
    const { endpoints, token } = valueOf(await readContext(this.terminal.env))
    return createClient({
      targets: endpoints,
      transport: this.terminal.transport,
      ...this.#foresight,
      ...(token === undefined ? {} : { token }),
    })
  }

  /** Data in the format asked for; `table` makes the text for people. */
  print(value: unknown, table: () => string): void {
    this.terminal.stdout.write(this.format === 'table' ? harmlessText(table()) : formatStructured(value, this.format))
  }

  note(text: string): void {
    this.terminal.stderr.write(`${harmlessText(text)}\n`)
  }

  /** What comes with an answer that is no failure. */
  warn(warnings: readonly string[]): void {
    for (const warning of warnings) this.note(`warning: ${warning}`)
  }
}

function outputFormat(options: SharedOptions): OutputFormat {
  if (options.json) return 'json'
  const { output = 'table' } = options
  if (output === 'table' || output === 'json' || output === 'yaml') return output
  throw badArgument(`--output: \`${output}\` is not a format`, 'Write table, json or yaml.')
}

/** The value, or the failure thrown to `runAction`. */
export function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value
  throw new FailureError(result.error)
}

/**
 * Makes a commander action of a function: it gets the session and the arguments, and its failures become text on
 * stderr (with `--json` the problem document on stdout) and the documented exit code.
 */
export function action(
  terminal: Terminal,
  run: (session: Session, args: readonly string[], options: Record<string, unknown>) => Promise<void>,
): (...all: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command
    const options = command.optsWithGlobals<Record<string, unknown>>()
    let release = () => undefined as unknown
    try {
      const session = new Session(terminal, options as SharedOptions)
      release = terminal.onInterrupt(() => session.interrupt())
      await run(session, command.processedArgs as string[], options)
    } catch (error) {
      report(terminal, error, options['json'] === true || options['output'] === 'json')
    } finally {
      release()
    }
  }
}

export function report(terminal: Terminal, error: unknown, json: boolean): void {
  const value: Failure =
    error instanceof FailureError
      ? error.failure
      : failure('internal', error instanceof Error ? error.message : String(error), { cause: error })
  if (value.code === 'foreseen') return reportForeseen(terminal, value.cause as ForeseenView, json)
  terminal.setExitCode(error instanceof Interrupted ? INTERRUPTED_EXIT_CODE : FAILURES[value.code].exit)
  if (json) {
    terminal.stdout.write(`${JSON.stringify(problemFromFailure(value), null, 2)}\n`)
    return
  }
  terminal.stderr.write(`error: ${harmlessSentence(value.message)}\n`)
  terminal.stderr.write(`hint: ${harmlessSentence(hintOf(value))}\n`)
}

/** The answer to `--what-if`: nothing was done, and that is what was asked for. */
function reportForeseen(terminal: Terminal, view: ForeseenView, json: boolean): void {
  if (json) terminal.stdout.write(`${JSON.stringify(view, null, 2)}\n`)
  else terminal.stdout.write(`${foresightText(view)}\nNothing was changed. Token of this outcome: ${view.token}\n`)
}

/** Ctrl-C while the cluster worked: the work goes on. */
export class Interrupted extends FailureError {
  override name = 'Interrupted'
}
