/** Waiting for a migration to get somewhere. */
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'
import type { QmpClient, QmpEvent } from './qmp.ts'

/** Events tell at once; this is for those that were lost or that QEMU does not send. */
const POLL_MS = 100

const TELLING = new Set(['MIGRATION', 'MIGRATION_PASS', 'STOP', 'RESUME'])

/**
 * Asks `look` at once, at each event that may matter and every now and then, until it gives a result. Fails with
 * `timeout` after so long without one, or once `signal` was aborted; `look` may prolong it by returning `moved`.
 */
export async function awaitMigration<T>(
  monitor: QmpClient,
  look: () => Promise<Result<T> | 'waiting' | 'moved'>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Result<T>> {
  let unheard = false
  let wake = () => undefined as void
  const off = monitor.onEvent(({ event }: QmpEvent) => {
    if (!TELLING.has(event)) return
    unheard = true
    wake()
  })
  const offClose = monitor.onClose(() => wake())
  const onAbort = () => wake()
  signal?.addEventListener('abort', onAbort)
  try {
    for (let deadline = performance.now() + timeoutMs; ;) {
      unheard = false
      if (signal?.aborted) return fail(failure('timeout', 'Nobody waits for the migration any more'))
      const found = await look()
      if (found === 'moved') deadline = performance.now() + timeoutMs
      else if (found !== 'waiting') return found
      if (performance.now() >= deadline)
        return fail(failure('timeout', `Nothing came of the migration in ${Math.round(timeoutMs / 1000)} s`))
      if (unheard) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    off()
    offClose()
    signal?.removeEventListener('abort', onAbort)
  }
}
