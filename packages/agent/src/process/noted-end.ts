/**
 * How a process of the guests' pid namespace ended. The agent is not its parent; the namespace's init is, and notes it
 * (native/stead-deadman.c).
 */
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

/** A zombie is gone for the agent a moment before its init has heard of it. */
const PATIENCE_MS = 500
const STEP_MS = 10

export class NotedEnd {
  readonly #namespacePid: number | undefined
  readonly #pidInside: number | undefined

  /** Of a process that lives. `namespacePid`: of the namespace's init; absent or 0: it is in none, and nobody notes anything. */
  constructor(pid: number, namespacePid: number | undefined) {
    this.#namespacePid = namespacePid
    this.#pidInside = namespacePid ? pidInside(pid) : undefined
  }

  /** The same as a sentence tells it. */
  async describe(): Promise<string> {
    return (await this.told()) ?? 'nobody knows how'
  }

  /** Once it has ended: `SIGSEGV`, `exit status 1`; undefined where nobody knows. */
  async told(): Promise<string | undefined> {
    if (this.#pidInside === undefined) return undefined
    for (const endMs = performance.now() + PATIENCE_MS; ;) {
      const end = lastEnd(textOf(`/proc/${this.#namespacePid}/fd/3`), this.#pidInside)
      if (end !== undefined || performance.now() > endMs) return end
      await sleep(STEP_MS)
    }
  }
}

/** Of the last process that had this number; numbers come again. */
export function lastEnd(notes: string, pid: number): string | undefined {
  const found = [...notes.matchAll(/^ *(\d+) +(\d+) (exit|signal) +(\d+)$/gm)]
    .filter((note) => Number(note[2]) === pid)
    .toSorted((a, b) => Number(b[1]) - Number(a[1]))[0]
  if (!found) return undefined
  const number = Number(found[4])
  if (found[3] === 'exit') return `exit status ${number}`
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
}

/** Its number in the innermost pid namespace that it is in. */
export function pidInside(pid: number): number | undefined {
  const ids = /^NSpid:\t(.+)$/m.exec(textOf(`/proc/${pid}/status`))?.[1]?.split('\t')
  return ids && ids.length > 1 ? Number(ids.at(-1)) : undefined
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
