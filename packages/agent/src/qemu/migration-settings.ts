/**
 * What both QEMUs of a migration are told before it begins, as pure data. What belongs to the machine must be equal at
 * both ends, so the destination decides and says so in its endpoint.
 */
import type { ArrivalEndpoint, MigrationLimits } from '@stead/core/ports/guest-migration.ts'

/** Percent that a guest's processors are slowed down at first, by which it grows, and at most: it must still answer. */
const THROTTLE = { initial: 30, increment: 25, max: 95 } as const

/**
 * QEMU stops the guest as soon as the rest can be sent in the time allowed, and then uses that time up: with 200 ms an
 * idle guest stood still twice as long as with 30, and 5 ms longer with 30 than with this. So it is held to this at first,
 * and for so many passes.
 */
export const STRICT_DOWNTIME = { ms: 10, passes: 4 } as const

/** From here on several streams are worth their threads and their handshakes. */
const CHANNELS_FROM_BYTES = 4 * 2 ** 30
const CHANNELS = 4

/** Of a small guest, whose only reason for them is that they can be compressed. */
const FEW_CHANNELS = 2

/** How many streams beside the main one. QEMU 10 cannot combine them with post-copy, and compresses nothing else. */
export function extraChannels(
  memoryBytes: number,
  how: { readonly postCopy: boolean; readonly compressed: boolean },
): number {
  if (how.postCopy) return 0
  if (memoryBytes >= CHANNELS_FROM_BYTES) return CHANNELS
  return how.compressed ? FEW_CHANNELS : 0
}

/** The argument of `migrate-set-capabilities`. What is off is said too: an earlier migration may have set it. */
export function capabilities(set: {
  readonly channels: number
  readonly postCopy: boolean
  readonly end: 'source' | 'destination'
}): {
  readonly capabilities: readonly { readonly capability: string; readonly state: boolean }[]
} {
  const isSource = set.end === 'source'
  const states: readonly (readonly [capability: string, state: boolean])[] = [
    ['events', true],
    // The source hears from the destination that it has everything, or that it failed.
    ['return-path', true],
    ['multifd', set.channels > 0],
    ['postcopy-ram', set.postCopy],
    // The moment at which the guest stands still and belongs to nobody's writes: the grant changes hands in it.
    ['pause-before-switchover', isSource],
    ['auto-converge', isSource],
  ]
  return { capabilities: states.map(([capability, state]) => ({ capability, state })) }
}

export function sourceParameters(limits: MigrationLimits, to: ArrivalEndpoint): Record<string, unknown> {
  return {
    'max-bandwidth': limits.bandwidthBytesPerSecond,
    'max-postcopy-bandwidth': limits.bandwidthBytesPerSecond,
    'downtime-limit': Math.min(limits.downtimeMs, STRICT_DOWNTIME.ms),
    'cpu-throttle-initial': THROTTLE.initial,
    'cpu-throttle-increment': THROTTLE.increment,
    'max-cpu-throttle': THROTTLE.max,
    ...channelParameters(to),
  }
}

export function channelParameters({
  channels = 0,
  compressed,
}: Pick<ArrivalEndpoint, 'channels' | 'compressed'>): Record<string, unknown> {
  if (channels === 0) return {}
  // zstd's fastest: a better one would be slower than the networks for which it is meant.
  const compression = compressed
    ? { 'multifd-compression': 'zstd', 'multifd-zstd-level': 1 }
    : { 'multifd-compression': 'none' }
  return { 'multifd-channels': channels, ...compression }
}

/** How QEMU writes an address: `tcp:[::1]:4444`. */
export function migrationUri(address: string, port: number): string {
  return `tcp:${address.includes(':') ? `[${address}]` : address}:${port}`
}
