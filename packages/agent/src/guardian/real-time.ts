/**
 * Has this process run before all others, as corosync does: a busy host must be heard. A low nice value is not enough.
 * Seen on Linux 6.18: two processes of a guest that wake each other kept others waiting for their processor for 100 ms
 * and more, until its host was taken for lost.
 */
import type { Log } from '@stead/core/ports/log.ts'
import { runProgram } from '../process/run-program.ts'

const TIMEOUT_MS = 5000

/**
 * The main thread only, once it has started: what compiles and collects beside it may wait. A kernel that gives each
 * control group its real time (RT_GROUP_SCHED) may have none for ours; then the process stays as nice as it is.
 */
export async function becomeRealTime(log: Log): Promise<void> {
  const changed = await runProgram('chrt', ['--reset-on-fork', '--rr', '--pid', '1', String(process.pid)], TIMEOUT_MS)
  if (changed.ok) log.info('runs in real time')
  else log.info('runs without real time', { cause: changed.error.message })
}
