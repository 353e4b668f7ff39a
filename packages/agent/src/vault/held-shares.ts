/**
 * What this host's disk has of the keys: `STATE/trust/vault.json`, its share of the present key, and of the next one
 * while that is being made. Written whole and flushed: who has said that he has a share has it after a power cut.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'

/** Of one generation: keys of which one comes to count, or none. */
const IN_THE_MAKING_MAX = 8

export const heldSchema = z.object({
  generation: z.int().min(1),
  keyId: z.string().regex(/^[0-9a-f]{32}$/),
  /** `key`: of fewer than three members; it lies beside what it seals. */
  kind: z.enum(['share', 'key']),
  value: z.string().regex(/^[0-9a-f]{64}$/),
})
export type Held = z.infer<typeof heldSchema>

const fileSchema = z.object({ held: z.array(heldSchema) })

export class HeldShares {
  readonly #file: string
  #held: readonly Held[]

  /** Throws when the file is there and cannot be read. */
  constructor(file: string) {
    this.#file = file
    this.#held = existsSync(file) ? fileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).held : []
  }

  find(keyId: string): Held | undefined {
    return this.#held.find((each) => each.keyId === keyId)
  }

  keep(held: Held): void {
    if (this.find(held.keyId)?.value === held.value) return
    const isOfSame = ({ generation }: Held) => generation === held.generation
    const others = this.#held.filter(({ keyId }) => keyId !== held.keyId)
    const same = [...others.filter(isOfSame), held].slice(-IN_THE_MAKING_MAX)
    this.#write([...others.filter((each) => !isOfSame(each)), ...same])
  }

  /** What is older than the present key, or was made for its generation and did not become it, opens nothing any more. */
  dropOlder(present: { readonly generation: number; readonly keyId: string }): void {
    const left = this.#held.filter(
      ({ generation, keyId }) => keyId === present.keyId || generation > present.generation,
    )
    if (left.length < this.#held.length) this.#write(left)
  }

  #write(held: readonly Held[]): void {
    const half = openSync(`${this.#file}.new`, 'w', 0o600)
    writeSync(half, JSON.stringify({ held }))
    fsyncSync(half)
    closeSync(half)
    renameSync(`${this.#file}.new`, this.#file)
    const folder = openSync(dirname(this.#file), 'r')
    fsyncSync(folder)
    closeSync(folder)
    this.#held = held
  }
}
