/**
 * Watches the guests of a lab from outside, many times a second: which records each was told are safe, and whether
 * two processes of one guest could ever write to the same export. Reads files and /proc only, so that no fault of
 * the cluster can blind it.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LabCluster } from './lab-cluster.ts'

const SAMPLE_MS = 120
/** Enough for the acknowledgements of many sampling intervals. */
const TAIL_BYTES = 8_192

export class GuestWitness {
  readonly #lab: LabCluster
  readonly #hosts: readonly string[]
  readonly #guests: ReadonlyMap<string, { readonly id: string; highest: number }>
  /** What must never be seen, one sentence each. */
  readonly violations: string[] = []
  readonly #resumes = new Map<string, string>()
  #samples = 0
  #ended = false

  constructor(lab: LabCluster, hosts: readonly string[], guests: ReadonlyMap<string, string>) {
    this.#lab = lab
    this.#hosts = hosts
    this.#guests = new Map([...guests].map(([name, id]) => [name, { id, highest: 0 }]))
  }

  get samples(): number {
    return this.#samples
  }

  /** The highest record that the guest was ever told is safe, on whatever host, in whatever boot. */
  acknowledged(guest: string): number {
    return this.#guests.get(guest)?.highest ?? 0
  }

  /** Samples until `end`. */
  async run(): Promise<void> {
    while (!this.#ended) {
      this.sample()
      await sleep(SAMPLE_MS)
    }
  }

  end(): void {
    this.#ended = true
  }

  sample(): void {
    this.#samples++
    for (const [name, guest] of this.#guests) {
      this.#countWriters(name)
      const before = guest.highest
      for (const host of this.#hosts) {
        const folder = this.#lab.hostFolder(host)
        const path = ['guests', 'containers']
          .map((kind) => join(folder, kind, guest.id, 'console.log'))
          .find(existsSync)
        const console = path === undefined ? undefined : readConsole(path)
        if (path === undefined || console === undefined) continue
        // A boot reads the highest record from the disk: one that is lower than what was safe before proves a loss.
        const resume = /RESUME (\d+)\r?\n/.exec(console.head)?.[1]
        const boot = `${console.inode}/${resume}`
        if (resume !== undefined && this.#resumes.get(path) !== boot) {
          this.#resumes.set(path, boot)
          if (Number(resume) < before)
            this.violations.push(
              `${name} resumed on ${host} at record ${resume}, but ${before} was acknowledged before`,
            )
        }
        for (const [, number] of console.tail.matchAll(/^ACK (\d+)\r?\n/gm))
          guest.highest = Math.max(guest.highest, Number(number))
      }
    }
  }

  #countWriters(name: string): void {
    const seen = new Map<string, number>()
    for (const { pid, exports } of this.#lab.qemuProcesses(name)) {
      for (const each of exports) {
        const other = seen.get(each)
        if (other !== undefined && other !== pid)
          this.violations.push(`processes ${other} and ${pid} of ${name} both write to ${each}`)
        seen.set(each, pid)
      }
    }
  }
}

function readConsole(
  path: string,
): { readonly inode: number; readonly head: string; readonly tail: string } | undefined {
  if (!existsSync(path)) return undefined
  const file = openSync(path, 'r')
  try {
    const { size, ino } = fstatSync(file)
    const read = (from: number, length: number) => {
      const buffer = Buffer.alloc(length)
      return buffer.toString('latin1', 0, readSync(file, buffer, 0, length, from))
    }
    // The tail may begin within a line; the pattern for ACK wants a whole one.
    const from = Math.max(0, size - TAIL_BYTES)
    const tail = read(from, size - from)
    return {
      inode: ino,
      head: read(0, Math.min(size, TAIL_BYTES)),
      tail: from === 0 ? tail : tail.slice(tail.indexOf('\n') + 1),
    }
  } finally {
    closeSync(file)
  }
}
