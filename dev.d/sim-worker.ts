/** Plays seeds in a thread of its own; with a mutation, the code that it loads has one safety rule less. */
import { registerHooks } from 'node:module'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { FuzzReport } from '@stead/sim/world-fuzz.ts'

export interface SimWork {
  readonly first: number
  readonly step: number
  readonly seeds: number
  /** Stops by itself after this long. */
  readonly limitMs: number
  /** Stops at the first violation. */
  readonly untilCaught: boolean
  readonly edits: readonly SourceEdit[]
}

/** Of a source file, by its path in the repository: this text is replaced. */
export interface SourceEdit {
  readonly file: string
  readonly text: string
  readonly by: string
}

export interface SimResult extends Pick<FuzzReport, 'violations' | 'virtualMs' | 'events' | 'acknowledged'> {
  readonly seed: number
}

const work = workerData as SimWork
const port = parentPort
if (!port) throw new Error('sim-worker runs in a thread')

if (work.edits.length > 0)
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      const path = url.startsWith('file:') ? fileURLToPath(url) : ''
      const edits = isAbsolute(path) ? work.edits.filter((edit) => path.endsWith(`/${edit.file}`)) : []
      if (edits.length === 0) return loaded
      // Source files are text to Node's loader, or bytes of it.
      let source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString()
      for (const { text, by } of edits) source = source.replace(text, () => by)
      return { ...loaded, source }
    },
  })

const { fuzzWorld } = await import('@stead/sim/world-fuzz.ts')
const startedMs = performance.now()
for (let count = 0; count < work.seeds; count++) {
  if (performance.now() - startedMs > work.limitMs) break
  const seed = work.first + count * work.step
  const { violations, virtualMs, events, acknowledged } = await fuzzWorld(seed)
  port.postMessage({ seed, violations, virtualMs, events, acknowledged } satisfies SimResult)
  if (work.untilCaught && violations.length > 0) break
}
