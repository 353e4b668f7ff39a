import type { RunningGuest } from '@stead/core/ports/guest-host.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { writesImage } from './memory-image-settings.ts'
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
  // Its memory has gone into an image and not to a host: the guest stands still here.
  if (reply.ok && reply.value.status === 'postmigrate' && (await writesImage(monitor))) return ok('paused')
  return reply.ok ? ok(STATUSES[reply.value.status] ?? 'other') : reply
}
