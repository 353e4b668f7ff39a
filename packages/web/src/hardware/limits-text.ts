import { bytesText } from '../parts/figures.ts'
import type { DiskLimits, NicLimits } from './limits-form.ts'

/** `500 IO/s, 100 MiB/s`; empty when there are none. */
export function diskLimitsText(limits: DiskLimits | undefined, language: string): string {
  const { operationsPerSecond, bytesPerSecond, burstOperationsPerSecond, burstBytesPerSecond } = limits ?? {}
  const number = new Intl.NumberFormat(language)
  const withBurst = (text: string, burst: string | undefined) => (burst === undefined ? text : `${text} (${burst})`)
  const iops = (count: number | undefined) => (count === undefined ? undefined : `${number.format(count)} IO/s`)
  const rate = (bytes: number | undefined) => (bytes === undefined ? undefined : `${bytesText(bytes, language)}/s`)
  return [
    withBurst(iops(operationsPerSecond) ?? '', iops(burstOperationsPerSecond)),
    withBurst(rate(bytesPerSecond) ?? '', rate(burstBytesPerSecond)),
  ]
    .map((text) => text.trim())
    .filter(Boolean)
    .join(', ')
}

/** `↓ 100 Mbit/s, ↑ 10 Mbit/s, ↑ 500 pps`; empty when there are none. */
export function nicLimitsText(limits: NicLimits | undefined, language: string): string {
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 3 })
  const rate = (arrow: string, bytes: number | undefined) =>
    bytes === undefined ? '' : `${arrow} ${number.format((bytes * 8) / 1e6)} Mbit/s`
  const packets = limits?.sendPacketsPerSecond
  return [
    rate('↓', limits?.receiveBytesPerSecond),
    rate('↑', limits?.sendBytesPerSecond),
    packets === undefined ? '' : `↑ ${number.format(packets)} pps`,
  ]
    .filter(Boolean)
    .join(', ')
}
