/** Questions to whoever sits at the terminal; where input is piped, the next line of it is the answer. */
import { failure, FailureError } from '@stead/core/errors.ts'
import { Interrupted, type Terminal } from './session.ts'

const [CTRL_C, CTRL_D, BACKSPACE, DELETE] = ['\u0003', '\u0004', '\b', '\u007f']

export class Prompts {
  readonly #terminal: Terminal
  #source: AsyncIterator<Buffer> | undefined
  #typed = ''

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** Whether somebody is there to be asked. */
  get isInteractive(): boolean {
    return this.#terminal.stdin?.isTTY === true
  }

  ask(question: string): Promise<string> {
    return this.#line(question, false)
  }

  /** What is typed is not shown. */
  secret(question: string): Promise<string> {
    return this.#line(question, true)
  }

  /** The terminal as it was. */
  close(): void {
    if (!this.#source) return
    this.#terminal.stdin?.destroy()
  }

  async #line(question: string, hidden: boolean): Promise<string> {
    const { stdin, stderr } = this.#terminal
    if (!stdin) throw noAnswer(question)
    const raw = hidden && stdin.isTTY === true && stdin.setRawMode !== undefined
    if (this.isInteractive) stderr.write(question)
    if (raw) stdin.setRawMode?.(true)
    try {
      for (;;) {
        const end = /\r\n|\r|\n/.exec(this.#typed)
        if (end) {
          const line = this.#typed.slice(0, end.index)
          this.#typed = this.#typed.slice(end.index + end[0].length)
          return raw ? edited(line) : line
        }
        if (raw && this.#typed.includes(CTRL_C ?? '')) throw new Interrupted(failure('bad_request', 'Left'))
        this.#source ??= stdin[Symbol.asyncIterator]()
        const next = await this.#source.next()
        const over = next.done === true || (raw && String(next.value).includes(CTRL_D ?? ''))
        if (over && this.#typed === '') throw noAnswer(question)
        this.#typed += over ? '\n' : String(next.value)
      }
    } finally {
      if (raw) {
        stdin.setRawMode?.(false)
        stderr.write('\n')
      }
    }
  }
}

/** In raw mode nobody else takes back what was typed wrong. */
function edited(line: string): string {
  const characters: string[] = []
  for (const character of line) {
    if (character === BACKSPACE || character === DELETE) characters.pop()
    else characters.push(character)
  }
  return characters.join('')
}

function noAnswer(question: string): FailureError {
  return new FailureError(
    failure('bad_request', `There is no answer to \`${question.trim()}\``, {
      hint: 'Type it, or pipe one line for each question',
    }),
  )
}
