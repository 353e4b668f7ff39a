/**
 * Looks for a text or a pattern in what a guest's console says. Reads on from where it stopped, so much at a time, and
 * line by line, so that a guest that prints a great deal, or a line without end, costs little.
 */
import { open } from 'node:fs/promises'
import type { ProbeOutcome } from '@stead/core/ha/readiness.ts'
import type { ProbeCheck } from '@stead/core/model/probe.ts'
import { parsePattern } from '@stead/core/text-pattern.ts'

const READ_BYTES_MAX = 256 * 1024
/** What is beyond that of one line is not looked at. */
const LINE_LENGTH_MAX = 1_000

type ConsoleCheck = Extract<ProbeCheck, { kind: 'console' }>

export class ConsoleSearch {
  readonly #path: string
  #inode: number | undefined
  #position = 0
  /** Of a line that is not complete yet. */
  #rest = ''
  /** What was looked for when it was found. */
  #found: string | undefined
  #skipToEnd = false

  constructor(path: string) {
    this.#path = path
  }

  /** What is there by now belongs to an earlier boot. */
  startOver(): void {
    this.#found = undefined
    this.#rest = ''
    this.#skipToEnd = true
  }

  async attempt(check: ConsoleCheck): Promise<ProbeOutcome> {
    const wanted = `${check.as} ${check.find}`
    if (this.#found !== undefined && this.#found !== wanted) this.#readAgain()
    if (this.#found === undefined && (await this.#search(matcherOf(check)))) this.#found = wanted
    if (this.#found === wanted) return { succeeded: true }
    return { succeeded: false, reason: `its console has not said ${JSON.stringify(check.find)} yet` }
  }

  #readAgain(): void {
    this.#found = undefined
    this.#position = 0
    this.#rest = ''
  }

  async #search(matches: (line: string) => boolean): Promise<boolean> {
    const file = await open(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (!file) return false
    try {
      const { size, ino } = await file.stat()
      if (ino !== this.#inode || size < this.#position) this.#readAgain()
      this.#inode = ino
      if (this.#skipToEnd) this.#position = size
      this.#skipToEnd = false
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES_MAX, size - this.#position))
      const { bytesRead } = await file.read(buffer, 0, buffer.length, this.#position)
      this.#position += bytesRead
      const lines = (this.#rest + buffer.toString('latin1', 0, bytesRead)).split(/\r?\n|\r/)
      // A prompt is a line that does not end: it is looked at now, and again once more of it has come.
      this.#rest = (lines.at(-1) ?? '').slice(0, LINE_LENGTH_MAX)
      return lines.some((line) => matches(Buffer.from(line, 'latin1').toString('utf8').slice(0, LINE_LENGTH_MAX)))
    } finally {
      await file.close()
    }
  }
}

function matcherOf({ find, as }: ConsoleCheck): (line: string) => boolean {
  if (as === 'text') return (line) => line.includes(find)
  const pattern = parsePattern(find)
  return pattern.ok ? (line) => pattern.value.matches(line) : () => false
}
