/** How far long work is, for who looks at it. */
import type { Session } from './session.ts'

const BAR_WIDTH = 24

/** One line on stderr, rewritten; only on a terminal. */
export class ProgressBar {
  readonly #session: Session
  #shown = false

  constructor(session: Session) {
    this.#session = session
  }

  show({ progress, message }: { readonly progress: number; readonly message: string }): void {
    const { stderr } = this.#session.terminal
    if (!stderr.isTTY) return
    const full = Math.round(progress * BAR_WIDTH)
    const percent = `${Math.round(progress * 100)}`.padStart(3)
    stderr.write(`\r\x1b[K[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}] ${percent} % ${message}`.slice(0, 120))
    this.#shown = true
  }

  clear(): void {
    if (this.#shown) this.#session.terminal.stderr.write('\r\x1b[K')
    this.#shown = false
  }
}
