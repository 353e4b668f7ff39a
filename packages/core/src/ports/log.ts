/** Port: the agent's own log, structured. Cluster events are not logged here but written to the store. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log whose every line carries these fields too. */
  with(fields: LogFields): Log
}

export type LogFields = Readonly<Record<string, unknown>>
