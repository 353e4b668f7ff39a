/** Keeps a storage daemon running for each pool: started again when it ended, replaced when it no longer answers. */
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { Result } from '@stead/core/result.ts'
import type { QsdVolumeHost } from './qsd-volume-host.ts'

const POLL_MS = 1_000
const RETRY_MS = 250
const ANSWER_MS = 2_000
/** A daemon that lives but has not answered so many times is replaced. */
const FAILURES_MAX = 3

/** Runs until aborted; the daemons stay. */
export async function keepStorageDaemons(
  pools: readonly { readonly name: string }[],
  volumes: QsdVolumeHost,
  { events, self, clock, log }: HostContext,
  signal: AbortSignal,
): Promise<void> {
  let wake = () => {}
  volumes.onDaemonExit((pool, reason) => {
    wake()
    events.tell({
      kind: 'daemon.restarted',
      subject: `host/${self}`,
      message: `the storage daemon of pool ${pool} on ${self} ended (${reason}) and is started again`,
      details: { pool },
    })
  })
  const failures = new Map<string, number>()
  while (!signal.aborted) {
    for (const { name: pool } of pools) {
      const ensured = await daemonAnswers(volumes, pool)
      failures.set(pool, ensured.ok ? 0 : (failures.get(pool) ?? 0) + 1)
      if (ensured.ok) continue
      log.error('a storage daemon does not run', { pool, cause: ensured.error })
      if (failures.get(pool) !== FAILURES_MAX) continue
      // It lives but does not answer. Its clients have gone on without it; a new one lets them come back.
      const daemon = volumes.daemon(pool)
      if (daemon.ok) await daemon.value.kill()
      failures.set(pool, 0)
    }
    const ended = new Promise<void>((resolve) => (wake = resolve))
    const isWell = [...failures.values()].every((count) => count === 0)
    await Promise.race([ended, clock.sleep(isWell ? POLL_MS : RETRY_MS, signal)])
  }
}

/** Running is not enough: a frozen daemon keeps its connections and says nothing. */
async function daemonAnswers(volumes: QsdVolumeHost, pool: string): Promise<Result<unknown>> {
  const ensured = await volumes.ensureDaemon(pool)
  const daemon = volumes.daemon(pool)
  return ensured.ok && daemon.ok ? daemon.value.call('query-block-exports', undefined, ANSWER_MS) : ensured
}
