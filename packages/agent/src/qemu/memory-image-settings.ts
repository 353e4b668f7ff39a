/**
 * What QEMU is told before it writes its guest's memory into an image instead of to another host, and how the two are
 * told apart afterwards: a guest that was let go to another host must never run here again, one that was written down may.
 */
import type { Monitor } from './mirror-surgery.ts'
import { STRICT_DOWNTIME } from './migration-settings.ts'

const MIB = 2 ** 20

/** A live move always has a way back, by which the destination says that it has everything; an image has none. */
const CAPABILITIES: Readonly<Record<string, boolean>> = {
  events: true,
  'return-path': false,
  multifd: false,
  'postcopy-ram': false,
  // The moment at which the guest stands still: its disks are cut in it.
  'pause-before-switchover': true,
  'auto-converge': false,
}

/** In their order. `tls-creds`: an earlier live move may have left one. */
export function imageCommands(socketPath: string): readonly (readonly [command: string, args: object])[] {
  const capabilities = Object.entries(CAPABILITIES).map(([capability, state]) => ({ capability, state }))
  return [
    ['migrate-set-capabilities', { capabilities }],
    ['migrate-set-parameters', { 'max-bandwidth': 0, 'downtime-limit': STRICT_DOWNTIME.ms, 'tls-creds': '' }],
    ['migrate', { uri: `unix:${socketPath}` }],
  ]
}

/**
 * When so much is written, the guest is stopped for the rest: pages that it changes are written again, and a guest that
 * changes them faster than they are written would never be done. Then at most all of its memory follows once more.
 */
export function forcedAfterBytes(memoryBytes: number): number {
  return memoryBytes * 1.25 + 32 * MIB
}

/** What an image can become: the above, the whole memory with its page headers, the devices; and what is under way. */
export function imageBytesMax(memoryBytes: number): number {
  return Math.ceil(memoryBytes * 2.27 + 160 * MIB)
}

/** Whether what was begun last is an image. Only to be asked of a QEMU that has begun something. */
export async function writesImage(monitor: Monitor): Promise<boolean> {
  const reply =
    await monitor.execute<readonly { readonly capability: string; readonly state: boolean }[]>(
      'query-migrate-capabilities',
    )
  return reply.ok && reply.value.some(({ capability, state }) => capability === 'return-path' && !state)
}
