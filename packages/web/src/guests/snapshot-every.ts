/** How often snapshots are taken, as people say it. */
const UNIT_MS = { minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const
export type SnapshotUnit = keyof typeof UNIT_MS
export const SNAPSHOT_UNITS = Object.keys(UNIT_MS) as readonly SnapshotUnit[]

export interface Every {
  readonly count: number
  readonly unit: SnapshotUnit
}

export function everyMs({ count, unit }: Every): number {
  return Math.round(count * UNIT_MS[unit])
}

/** In the largest unit of which it is a whole number; else in minutes. */
export function everyOf(ms: number): Every {
  const unit = SNAPSHOT_UNITS.findLast((one) => ms >= UNIT_MS[one] && ms % UNIT_MS[one] === 0) ?? 'minutes'
  return { count: ms / UNIT_MS[unit], unit }
}

/** `1 hour`, `2 godziny`. */
export function everyText({ count, unit }: Every, language: string): string {
  const style = { style: 'unit', unit: unit.slice(0, -1), unitDisplay: 'long' } as const
  return new Intl.NumberFormat(language, style).format(count)
}
