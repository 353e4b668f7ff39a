/** Waits for an operation, shows its progress, and says how it ended. */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { isFailureCode } from '@stead/api/errors.ts'
import type { OperationView } from '@stead/api/views.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { ProgressBar } from './progress-bar.ts'
import { Interrupted, type Session } from './session.ts'

/** One long poll; short enough that a host that dies meanwhile is noticed soon. */
const POLL_MS = 2000

/** Imports and copies read and write whole disks. */
export const COPY_PATIENCE_MS = 3_600_000

/**
 * The finished operation; throws its failure. Returns at once what was given with `--no-wait`. `patienceMs`: of work
 * that takes longer than most, when no `--timeout` is given.
 */
export async function settle(
  session: Session,
  client: Client,
  started: OperationView,
  patienceMs = 0,
): Promise<OperationView> {
  if (!session.wait) return started
  const bar = new ProgressBar(session)
  const look = `stead operation show ${started.id}`
  const timeoutMs = session.isTimeoutGiven ? session.waitTimeoutMs : Math.max(session.waitTimeoutMs, patienceMs)
  const until = performance.now() + timeoutMs
  let operation = started
  try {
    for (;;) {
      bar.show(operation)
      if (operation.state === 'succeeded') return operation
      if (operation.state === 'failed') throw new FailureError(failureOf(operation))
      if (operation.state === 'waiting') throw new FailureError(waits(operation, look))
      const leftMs = until - performance.now()
      if (session.signal.aborted) throw interrupted(look)
      if (leftMs <= 0) {
        const message = `Not finished after ${Math.round(timeoutMs / 1000)} s (${operation.message}); the work goes on`
        throw new FailureError(failure('timeout', message, { hint: `See \`${look}\`, or wait longer with --timeout.` }))
      }
      const waitMs = Math.max(1, Math.min(POLL_MS, Math.ceil(leftMs)))
      const input = { params: { operation: started.id }, query: { waitMs } }
      const polled = await client.call(ENDPOINTS['operation.show'], input, { signal: session.signal })
      if (session.signal.aborted) throw interrupted(look)
      if (polled.ok) operation = polled.value
      // While hosts fall the cluster may not answer for moments; the wait has its own end.
      else if (TRANSIENT.has(polled.error.code)) await pause(Math.min(500, Math.max(0, until - performance.now())))
      else throw new FailureError(polled.error)
    }
  } finally {
    bar.clear()
  }
}

/** Says how long work ended, or that it goes on. */
export function finished(session: Session, operation: OperationView, done: string): void {
  const text = operation.state === 'succeeded' ? done : `begun, see \`stead operation show ${operation.id}\``
  session.print(operation, () => `${text}\n`)
}

const TRANSIENT: ReadonlySet<string> = new Set(['no_quorum', 'store_timeout', 'host_unreachable', 'secrets_locked'])

function failureOf(operation: OperationView) {
  const { code = 'internal', message = operation.message, hint } = operation.failure ?? {}
  return failure(isFailureCode(code) ? code : 'internal', message, hint === undefined ? {} : { hint })
}

function waits(operation: OperationView, look: string) {
  const { code = '', message = operation.message, hint } = operation.failure ?? {}
  return failure(isFailureCode(code) ? code : 'waits_for_host', message, {
    hint: hint ?? `It goes on by itself; see \`${look}\`.`,
  })
}

function interrupted(look: string): Interrupted {
  return new Interrupted(failure('timeout', 'Interrupted; the work goes on', { hint: `See \`${look}\`.` }))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
