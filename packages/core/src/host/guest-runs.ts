/** All guests of one host: finds those that outlived an earlier agent, and wakes each guest's actor when due. */
import type { GuestId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { HostContext } from './host-context.ts'
import type { Arrivals } from './arrivals.ts'
import { GuestRun } from './guest-run.ts'

/** Changes and events wake the runs at once; this is for pauses that end. */
const TICK_MS = 1_000

export class GuestRuns {
  readonly #context: HostContext
  readonly #arrivals: Arrivals
  readonly #runs = new Map<GuestId, GuestRun>()

  constructor(context: HostContext, arrivals: Arrivals) {
    this.#context = context
    this.#arrivals = arrivals
  }

  /** Runs until aborted. Guests are left running: stopping the agent is not stopping the guests. */
  async run(signal: AbortSignal): Promise<void> {
    const { guests, mirror, clock, log } = this.#context
    for (const found of await guests.adopt()) {
      const state = mirror.state.guests.has(found.guest)
      if (!state) {
        log.warn('a guest that the cluster does not know is ended', { guest: found.guest })
        await guests.kill(found.guest)
        continue
      }
      // What waited for a hand-over that is not decided: the agent that began it is gone, and the source tries again.
      if (found.status === 'arriving' && !this.#isHere(mirror.state, found.guest)) {
        await guests.kill(found.guest)
        continue
      }
      await this.#of(found.guest).adopt(found)
    }
    const offEvents = guests.subscribe((event) => this.#runs.get(event.guest)?.onEvent(event))
    const offMirror = mirror.onChange((state) => this.#look(state))
    this.#look(mirror.state)
    while (!signal.aborted) {
      await clock.sleep(TICK_MS, signal)
      for (const [id, run] of this.#runs) {
        run.tick()
        if (run.idle && !this.#isHere(mirror.state, id)) this.#runs.delete(id)
      }
      this.#look(mirror.state)
    }
    offEvents()
    offMirror()
  }

  #look(state: ClusterState): void {
    this.#arrivals.look(state)
    for (const id of state.grants.keys()) if (this.#isHere(state, id)) this.#of(id)
    for (const run of this.#runs.values()) run.look()
  }

  #isHere(state: ClusterState, id: GuestId): boolean {
    const grant = state.grants.get(id)?.value
    return grant !== undefined && isActive(grant) && grant.host === this.#context.self
  }

  #of(id: GuestId): GuestRun {
    let run = this.#runs.get(id)
    if (!run) this.#runs.set(id, (run = new GuestRun(this.#context, this.#arrivals, id)))
    return run
  }
}
