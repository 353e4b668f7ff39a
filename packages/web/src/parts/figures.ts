/** Figures as people read them, in their language. */
const STEPS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const
const FRENCH: Readonly<Record<string, string>> = {
  B: 'o',
  KiB: 'Kio',
  MiB: 'Mio',
  GiB: 'Gio',
  TiB: 'Tio',
  PiB: 'Pio',
}

/** Three digits at most: `4 GiB`, `1.5 TiB`. */
export function bytesText(bytes: number, language: string): string {
  let value = bytes
  let step = 0
  while (value >= 1024 && step < STEPS.length - 1) {
    value /= 1024
    step += 1
  }
  const digits = value >= 100 || step === 0 ? 0 : value >= 10 ? 1 : 2
  const unit = STEPS[step] as string
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value)
  return `${number} ${language === 'fr' ? FRENCH[unit] : unit}`
}

export function percentText(part: number, whole: number, language: string): string {
  const share = whole === 0 ? 0 : part / whole
  return new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 }).format(share)
}

const MINUTE_MS = 60_000
const AGES = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', MINUTE_MS],
] as const

/** `3 minutes ago`; below a minute `now`. */
export function ageText(thenMs: number, nowMs: number, language: string): string {
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto' })
  const ageMs = nowMs - thenMs
  for (const [unit, unitMs] of AGES)
    if (Math.abs(ageMs) >= unitMs) return format.format(-Math.trunc(ageMs / unitMs), unit)
  return format.format(0, 'second')
}

/** How long something takes: `80 ms`, `4.2 s`, `3 min`. */
export function durationText(ms: number, language: string): string {
  const number = (value: number, digits: number) =>
    new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value)
  if (ms < 1_000) return `${number(ms, 0)} ms`
  if (ms < MINUTE_MS) return `${number(ms / 1_000, 1)} s`
  return `${number(ms / MINUTE_MS, 0)} min`
}

/** Of a packet there and back, in the field's unit: `0.12 ms`. */
export function latencyText(ms: number, language: string): string {
  return `${new Intl.NumberFormat(language, { maximumSignificantDigits: 2 }).format(ms)} ms`
}

export function momentText(time: string | number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(time))
}

export function clockText(time: string | number, language: string): string {
  return new Intl.DateTimeFormat(language, { timeStyle: 'medium' }).format(new Date(time))
}

/** `10 Gbit/s`. */
export function speedText(bitsPerSecond: number, language: string): string {
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 })
  return bitsPerSecond >= 1e9
    ? `${number.format(bitsPerSecond / 1e9)} Gbit/s`
    : `${number.format(bitsPerSecond / 1e6)} Mbit/s`
}
