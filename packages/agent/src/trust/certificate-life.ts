/**
 * How long certificates live and when they are made anew. Removal of a host works by its serial number and at once, so
 * a short life would protect nothing; it would only stop a cluster whose clocks are wrong, or that nobody renewed.
 */
const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS

export const AUTHORITY_LIFE_MS = 30 * YEAR_MS
export const HOST_LIFE_MS = 5 * YEAR_MS

/** A host's certificate is renewed when a year of its life is over: four are left to find out why it was not. */
const RENEW_BELOW_MS = HOST_LIFE_MS - YEAR_MS
/** Renewal has failed for a month. */
const WARN_BELOW_MS = RENEW_BELOW_MS - 30 * DAY_MS
/** The authority is replaced by hand: all hosts take part. */
const AUTHORITY_WARN_BELOW_MS = 5 * YEAR_MS

/** `overdue`: it should have been renewed long ago, and somebody must look why it was not. */
export type CertificateAge = 'fresh' | 'due' | 'overdue' | 'expired'

export function ageOf(notAfterMs: number, nowMs: number): CertificateAge {
  const left = notAfterMs - nowMs
  if (left <= 0) return 'expired'
  if (left < WARN_BELOW_MS) return 'overdue'
  return left < RENEW_BELOW_MS ? 'due' : 'fresh'
}

export function authorityEndsSoon(notAfterMs: number, nowMs: number): boolean {
  return notAfterMs - nowMs < AUTHORITY_WARN_BELOW_MS
}
