/** One JSON object a line on stdout: what journald and every log collector understand. */
import type { Log, LogFields } from '@stead/core/ports/log.ts'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]

export function jsonLog(minimum: Level, write: (line: string) => void, common: LogFields = {}): Log {
  const at = (level: Level) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(minimum)) return
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...common, ...fields }, printable)}\n`)
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => jsonLog(minimum, write, { ...common, ...fields }),
  }
}

/** Errors have no enumerable fields of their own and bigints no JSON: both are written out. */
function printable(_key: string, value: unknown): unknown {
  if (value instanceof Error)
    return {
      name: value.name,
      message: value.message,
      stack: value.stack,
      ...(value.cause === undefined ? {} : { cause: value.cause }),
    }
  return typeof value === 'bigint' ? value.toString() : value
}
