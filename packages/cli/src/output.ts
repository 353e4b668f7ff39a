/** What the commands print: tables for people, JSON and YAML for programs. */
export type OutputFormat = 'table' | 'json' | 'yaml'

export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string | number | null
}

export function formatTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.of(row))))
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => line[index]?.length ?? 0)),
  )
  const line = (texts: readonly string[]) =>
    texts
      .map((text, index) => (index === texts.length - 1 ? text : text.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd()
  return `${[line(columns.map((column) => column.title)), ...cells.map(line)].join('\n')}\n`
}

/** One object: names on the left. Empty values are left out. */
export function formatFields(fields: readonly (readonly [string, string | number | null])[]): string {
  const shown = fields.filter(([, value]) => value !== null && value !== '')
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${printable(value)}\n`).join('')
}

function printable(value: string | number | null): string {
  if (value === null || value === '') return '-'
  return String(value).replaceAll('\n', ' ')
}

export function formatStructured(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : toYaml(value)
}

/** YAML 1.2 of plain data. Every string that is not plainly a word is quoted as JSON, which YAML contains. */
export function toYaml(value: unknown): string {
  if (isScalar(value) || isEmpty(value)) return `${yamlScalar(value)}\n`
  return yamlLines(value, '').join('\n') + '\n'
}

function yamlLines(value: unknown, indent: string): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      if (isScalar(item) || isEmpty(item)) return [`${indent}- ${yamlScalar(item)}`]
      const [first = '', ...rest] = yamlLines(item, `${indent}  `)
      return [`${indent}- ${first.slice(indent.length + 2)}`, ...rest]
    })
  }
  return Object.entries(value as object)
    .filter(([, item]) => item !== undefined)
    .flatMap(([name, item]: [string, unknown]) => {
      const key = `${indent}${yamlScalar(name)}:`
      return isScalar(item) || isEmpty(item) ? [`${key} ${yamlScalar(item)}`] : [key, ...yamlLines(item, `${indent}  `)]
    })
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== 'object'
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

const PLAIN_WORD = /^[A-Za-z_][A-Za-z0-9_./-]*$/
const YAML_KEYWORDS = new Set(['true', 'false', 'null', 'yes', 'no', 'on', 'off', 'y', 'n'])

function yamlScalar(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'null'
  return PLAIN_WORD.test(value) && !YAML_KEYWORDS.has(value.toLowerCase()) ? value : JSON.stringify(value)
}
