/**
 * Tells systemd that the agent is up, and, while its event loop turns, that it is alive: `sd_notify(3)`, by systemd's own
 * program, since Node has no datagram sockets of the file system. Nothing is told where nobody asked for it.
 */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { runProgram } from './run-program.ts'

const TELL_MS = 10_000
/** As `sd_watchdog_enabled(3)` advises half, and one that is lost must not count. */
const TELLS_PER_WATCHDOG = 3

export interface ServiceManager {
  /** Absent: nobody watches. */
  readonly watchdogMs?: number
  readonly tell: (state: 'READY=1' | 'WATCHDOG=1') => void
}

/** Undefined where the agent is no service of systemd. What it starts must not speak for it, and so is told nothing. */
export function serviceManager(env: NodeJS.ProcessEnv, log: Log): ServiceManager | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: micros } = env
  if (socket === undefined) return undefined
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  const watchdogMs = Number(micros ?? 0) / 1000
  return {
    ...(watchdogMs > 0 ? { watchdogMs } : {}),
    tell: async (state) => {
      const told = await runProgram('systemd-notify', [state], TELL_MS, { env: { ...env, NOTIFY_SOCKET: socket } })
      if (!told.ok) log.warn('systemd cannot be told', { state, cause: told.error })
    },
  }
}

/** Until aborted. */
export async function keepTelling(
  { watchdogMs, tell }: ServiceManager,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  tell('READY=1')
  if (watchdogMs === undefined) return
  while (!signal.aborted) {
    tell('WATCHDOG=1')
    await clock.sleep(watchdogMs / TELLS_PER_WATCHDOG, signal)
  }
}

/** For as long as the agent runs; also while it waits for its configuration. */
export function tellServiceManager(env: NodeJS.ProcessEnv, clock: Clock, log: Log, signal: AbortSignal): void {
  const manager = serviceManager(env, log)
  if (manager) void keepTelling(manager, clock, signal)
}
