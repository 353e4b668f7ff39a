/** Ends what goes on (streams, consoles) when what allowed it is taken away, or its time is over. */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { ACCESS_COLLECTIONS } from './access-records.ts'

/** What is said of people. Where an object lies is looked at each second. */
const DECIDING = [...ACCESS_COLLECTIONS, 'sessions'] as const
/** Sessions and users also end by time, of which no record tells. */
const LOOK_MS = 1_000

export class TakenAway {
  readonly taken: AbortSignal
  /** Aborted when it is taken away, or when `gone` is. */
  readonly signal: AbortSignal
  readonly #release: () => void

  constructor(mirror: ClusterMirror, gone: AbortSignal, isPermitted: () => boolean) {
    const taken = new AbortController()
    let seen = mirror.state
    const onChange = (state: ClusterState) => {
      // Of a cluster's changes nearly all are about something else, and there may be hundreds of streams.
      const isSame = DECIDING.every((name) => state[name] === seen[name])
      seen = state
      if (!isSame) look()
    }
    const look = () => {
      if (isPermitted()) return
      release()
      taken.abort()
    }
    const off = mirror.onChange(onChange)
    const timer = setInterval(look, LOOK_MS)
    timer.unref()
    const release = () => {
      off()
      clearInterval(timer)
      gone.removeEventListener('abort', release)
    }
    gone.addEventListener('abort', release, { once: true })
    this.taken = taken.signal
    this.signal = AbortSignal.any([gone, taken.signal])
    this.#release = release
  }

  release(): void {
    this.#release()
  }
}
