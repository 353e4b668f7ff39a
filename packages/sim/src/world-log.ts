/** What the agents of a world say, with the world's time; what `safety` refused is a fault of the world's run. */
import type { HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'

export function worldLog(host: HostId, clock: Clock, lines: string[], violate: (fault: string) => void): Log {
  const note = (level: string) => (message: string, fields?: object) => {
    const time = clock.monotonicMs().toFixed(0).padStart(7)
    lines.push(`${time} ${host} ${level} ${message} ${fields ? JSON.stringify(fields, readable) : ''}`)
    if (message.includes('is unsafe')) violate(`${host}: ${message} ${JSON.stringify(fields)}`)
  }
  const log: Log = {
    debug: () => undefined,
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
    with: () => log,
  }
  return log
}

function readable(_: string, value: unknown): unknown {
  if (value instanceof Error) return value.stack
  return typeof value === 'bigint' ? String(value) : value
}
