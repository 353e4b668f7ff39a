/** One JSON line an entry, on stderr (a file, for detached processes). Small enough for the guardian. */
import type { Log, LogFields } from '@stead/core/ports/log.ts'

export function lineLog(write: (line: string) => void, fields: LogFields = {}): Log {
  const entry = (level: string) => (message: string, more?: LogFields) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields, ...more })}\n`)
  return {
    debug: entry('debug'),
    info: entry('info'),
    warn: entry('warn'),
    error: entry('error'),
    with: (more) => lineLog(write, { ...fields, ...more }),
  }
}
