import type { RunningGuest } from '@stead/core/ports/guest-host.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { Monitor } from './mirror-surgery.ts'

/** QEMU's RunState as the port tells it. */
const STATUSES: Readonly<Record<string, RunningGuest['status']>> = {
  running: 'running',
  paused: 'paused',
  prelaunch: 'paused',
  'io-error': 'io-error',
  shutdown: 'shutdown',
  inmigrate: 'arriving',
  postmigrate: 'departed',
}

export async function queryStatus(monitor: Monitor): Promise<Result<RunningGuest['status']>> {
  const reply = await monitor.execute<{ readonly status: string }>('query-status')
  return reply.ok ? ok(STATUSES[reply.value.status] ?? 'other') : reply
}
