/**
 * The text that Prometheus reads, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). A
 * counter's name ends in `_total`; units are seconds, bytes and ratios, and stand at the end of the name.
 */

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  /** Undefined: it cannot be told now, and is left out. */
  readonly value: number | undefined
}

export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly Sample[]
}

/** A family of which nothing can be told is left out whole. */
export function expositionText(families: readonly Family[]): string {
  return families.map(familyText).join('')
}

function familyText({ name, type, help, samples }: Family): string {
  const lines = samples.flatMap(({ labels = {}, value }) =>
    value === undefined ? [] : [`${name}${labelText(labels)} ${valueText(value)}\n`],
  )
  if (lines.length === 0) return ''
  return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function valueText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf'
}
