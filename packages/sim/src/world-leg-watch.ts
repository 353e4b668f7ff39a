/**
 * The port `LegWatch` of one simulated host: asks each server behind a leg all the time. Only what would change an
 * answer is an event here, so that a quiet world costs nothing.
 */
import type { HostId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import type { LegHealth, LegWatch } from '@stead/core/ports/leg-watch.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'
import type { WorldStorage } from './world-storage.ts'

/** The probe asks every 400 ms and calls a server unresponsive that said nothing for 900 ms. */
const INTERVAL_MS = 400
const LIMIT_MS = 900

export interface WorldLegWatchOptions {
  readonly client: HostId
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly storage: WorldStorage
  readonly hostAt: (endpoint: Leg['endpoint']) => HostId
}

export function worldLegWatch(options: WorldLegWatchOptions): LegWatch {
  return { watch: (endpoint, onChange) => watch(options, options.hostAt(endpoint), onChange) }
}

function watch(options: WorldLegWatchOptions, host: HostId, onChange: (health: LegHealth) => void): () => void {
  const { client, clock, random, network, storage } = options
  let told: LegHealth | undefined
  let cancel: () => void = () => undefined
  const tellAfter = (ms: number, health: LegHealth) => {
    cancel()
    cancel = () => undefined
    if (health === told) return
    cancel = clock.after(ms, () => {
      told = health
      onChange(health)
    })
  }
  const look = () => {
    // A standing observer sees nothing, and begins anew when it goes on.
    if (network.presence(client) !== 'on') return cancel()
    const waitMs = random.fraction() * INTERVAL_MS
    const reach = storage.reach(client, host)
    if (reach === 'answers') tellAfter(waitMs, 'alive')
    else if (reach === 'refuses') tellAfter(waitMs, 'refused')
    else tellAfter(LIMIT_MS + waitMs, 'unresponsive')
  }
  const off = storage.onChange(look)
  look()
  return () => {
    off()
    cancel()
  }
}
