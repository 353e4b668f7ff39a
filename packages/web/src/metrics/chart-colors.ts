/** Lines that are told apart in light and dark, and by who sees no colours: what is read twice is dashed the second time. */
export type Scheme = 'light' | 'dark'

const COLORS: Readonly<Record<Scheme, readonly string[]>> = {
  light: ['#0b7285', '#c2410c', '#5f3dc4', '#2b8a3e', '#a61e4d', '#495057'],
  dark: ['#3bc9db', '#ff922b', '#b197fc', '#69db7c', '#f783ac', '#ced4da'],
}

/** So many subjects have colours of their own. */
export const SUBJECTS_MAX = COLORS.light.length

interface Line {
  readonly subjectIndex: number
  readonly metricIndex: number
}

/** One subject's metrics differ by colour, several subjects by theirs. */
export function colorOf({ subjectIndex, metricIndex }: Line, subjects: number, scheme: Scheme): string {
  const colors = COLORS[scheme]
  return colors[(subjects > 1 ? subjectIndex : metricIndex) % colors.length]!
}

export function dashOf({ metricIndex }: Line): number[] {
  return metricIndex === 0 ? [] : [6, 4]
}

export const LINE_COLOR: Readonly<Record<Scheme, string>> = { light: '#c92a2a', dark: '#ff6b6b' }
export const AXIS_COLOR: Readonly<Record<Scheme, { readonly text: string; readonly grid: string }>> = {
  light: { text: '#566069', grid: '#edf0f3' },
  dark: { text: '#a3abb3', grid: '#25292d' },
}
export const SURFACE: Readonly<Record<Scheme, string>> = { light: '#ffffff', dark: '#1a1d20' }
