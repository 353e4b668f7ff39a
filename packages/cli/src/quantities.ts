/** Sizes, durations and moments as people type them, and as people read them. */
import { failure, FailureError } from '@stead/core/errors.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
}

/** `128MiB`, `1.5GiB`, `500MB`, `1048576`: bytes. Bare `M` or `G` is refused, since it is read both ways. */
export function parseSize(text: string, what: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text)
  const unit = match ? UNITS[(match[2] ?? '').toLowerCase()] : undefined
  const bytes = match && unit !== undefined ? Number(match[1]) * unit : Number.NaN
  if (Number.isSafeInteger(bytes)) return bytes
  throw badArgument(
    `${what}: \`${text}\` is not a size`,
    'Write a number and a unit: 128MiB, 1GiB, 500MB, or plain bytes.',
  )
}

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }

/** `30s`, `2m`, `1h`, `500ms`; a bare number is seconds. Milliseconds. */
export function parseDuration(text: string, what: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$/.exec(text)
  if (match) return Math.round(Number(match[1]) * (SECONDS[match[2] ?? 's'] ?? 1) * 1000)
  throw badArgument(`${what}: \`${text}\` is not a duration`, 'Write 30s, 2m or 1h.')
}

/** `10m` (that long ago), an ISO 8601 time, or an event's id, which is passed on as it is. */
export function parseSince(text: string, now: number): string {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return momentAgo(parseDuration(text, '--since'), now, '--since')
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return text
  const time = Date.parse(text)
  if (Number.isFinite(time)) return new Date(time).toISOString()
  throw badArgument(`--since: \`${text}\` is not a time`, "Write 2026-01-31T12:00:00Z, 10m, or an event's id.")
}

/** An ISO 8601 time. */
export function momentAgo(agoMs: number, now: number, what: string): string {
  const time = new Date(now - agoMs)
  if (Number.isFinite(time.getTime())) return time.toISOString()
  throw badArgument(`${what}: there was no time so long ago`, 'Write 30m, 6h or 7d.')
}

export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let index = 0
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024
    index++
  }
  const digits = Number.isInteger(value) || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${units[index]}`
}

export function parseCount(text: string, what: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw badArgument(`${what}: \`${text}\` is not a whole number`)
}

export function parseFraction(text: string, what: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  throw badArgument(`${what}: \`${text}\` is not a number`, 'Write 4 or 0.3.')
}

export function badArgument(message: string, hint?: string): FailureError {
  return new FailureError(failure('bad_request', message, hint === undefined ? {} : { hint }))
}
