/** How the copy of a guest's memory goes: what is told of it, and whether it will ever be done. Pure. */
import type { Handover } from '../model/grant.ts'
import type { MigrationReport } from '../model/guest.ts'
import type { MigrationProgress } from '../ports/guest-migration.ts'

/** A copy that takes longer than this and than twenty times its memory over the link is given up. */
const GIVE_UP_AFTER_MS = 120_000
const GIVE_UP_AFTER_COPIES = 20
/** Fewer say little of how quickly a guest changes its memory. */
const OUTRUN_PASSES = 3

export function reportOf({ to, since }: Handover, progress: MigrationProgress): MigrationReport {
  const { totalBytes, transferredBytes, remainingBytes, throttlePercent, expectedDowntimeMs } = progress
  const { dirtyBytesPerSecond, bandwidthBytesPerSecond } = progress
  return {
    to,
    since,
    totalBytes,
    transferredBytes,
    remainingBytes,
    dirtyBytesPerSecond,
    bandwidthBytesPerSecond,
    throttlePercent,
    expectedDowntimeMs,
  }
}

/** The memory was looked through whole so often. */
export function hasGoneThrough({ phase, passes }: MigrationProgress, times: number): boolean {
  return phase === 'copying' && passes > times
}

/** By what it changes and what the link takes it will never be done. */
export function isOutrun(progress: MigrationProgress): boolean {
  const { dirtyBytesPerSecond, bandwidthBytesPerSecond } = progress
  return hasGoneThrough(progress, OUTRUN_PASSES) && dirtyBytesPerSecond >= bandwidthBytesPerSecond
}

export function isStuck({ phase, totalBytes, bandwidthBytesPerSecond }: MigrationProgress, forMs: number): boolean {
  if (phase !== 'copying') return false
  const copyMs = bandwidthBytesPerSecond > 0 ? (totalBytes / bandwidthBytesPerSecond) * 1_000 : 0
  return forMs > Math.max(GIVE_UP_AFTER_MS, GIVE_UP_AFTER_COPIES * copyMs)
}

export function whyStuck({ dirtyBytesPerSecond, bandwidthBytesPerSecond }: MigrationProgress): string {
  const megabytes = (bytes: number) => Math.round(bytes / 1e6)
  return `it changes ${megabytes(dirtyBytesPerSecond)} MB of its memory a second, and the link takes ${megabytes(bandwidthBytesPerSecond)}; post-copy would get it over (cluster policy migration-post-copy)`
}
