/**
 * A halt of BusyBox's init without its naps: it runs its shutdown actions, tells all processes to end, and then sleeps for two
 * seconds before it halts, whoever is left (init/init.c: `run_shutdown_and_kill_processes`, `pause_and_low_level_reboot`).
 * Once the others have ended it has nothing left to do or to write, and ending it is what its own halt does.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { waitGone, type DetachedProcess } from '../process/detached.ts'
import { sendSignal } from './lxc-processes.ts'

const LOOK_MS = 20
/** Between two of its shutdown actions it is alone for less than a millisecond. */
const ALONE_MS = 120
/** Then it halts by itself. */
const PATIENCE_MS = 10_000

export interface InitAlone {
  /** How many processes the container has besides its init; undefined: it has ended. */
  readonly others: () => number | undefined
  readonly end: () => void
}

/** Ends an init that has been told to halt, had others, and has been alone for a moment. */
export async function endOnceAlone({ others, end }: InitAlone): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  let hadOthers = false
  let aloneSinceMs: number | undefined
  while (performance.now() < deadline) {
    const count = others()
    if (count === undefined) return
    hadOthers ||= count > 0
    if (count > 0) aloneSinceMs = undefined
    else aloneSinceMs ??= performance.now()
    if (hadOthers && aloneSinceMs !== undefined && performance.now() - aloneSinceMs >= ALONE_MS) return end()
    await sleep(LOOK_MS)
  }
}

/** Kills the init, upon which LXC ends by itself. In the middle of a reboot there is none for a moment, and then another one. */
export async function endsWithItsInit(
  keeper: DetachedProcess,
  init: () => number | undefined,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  do {
    const pid = init()
    if (pid !== undefined) sendSignal(pid, 'SIGKILL')
    if (await waitGone(keeper, LOOK_MS)) return true
  } while (performance.now() < deadline)
  return false
}
