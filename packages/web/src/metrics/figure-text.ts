/** A figure with its unit, in the user's language. */
import { bytesText } from '../parts/figures.ts'

export function figureText(figure: number, unit: string, language: string): string {
  if (unit === 'bytes') return bytesText(figure, language)
  if (unit === 'bytes/s') return `${bytesText(figure, language)}/s`
  if (unit === 'ratio') return ratioText(figure, language)
  const number = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 }).format(figure)
  if (unit === '1/s') return `${number}/s`
  return unit === 'ms' ? `${number} ms` : number
}

export function ratioText(part: number, language: string): string {
  return new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 }).format(part)
}

/** On the axis of time, where marks stand so far apart. */
export function markText(ms: number, apartMs: number, language: string): string {
  const options: Intl.DateTimeFormatOptions =
    apartMs < 60_000
      ? { timeStyle: 'medium' }
      : apartMs < 86_400_000
        ? { timeStyle: 'short' }
        : { day: 'numeric', month: 'short' }
  return new Intl.DateTimeFormat(language, options).format(new Date(ms))
}
