/**
 * The port `LegWatch` of one simulated host: asks each server behind a leg all the time. Only what would change an
 * answer is an event here, so that a quiet world costs nothing.
 */
import type { HostId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import type { LegHealth, LegWatch } from '@stead/core/ports/leg-watch.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { networkAt } from './world-addresses.ts'
import type { WorldNetwork } from './world-network.ts'
import type { WorldStorage } from './world-storage.ts'

/** The probe asks every 400 ms and calls a server unresponsive that said nothing for 900 ms. */
const INTERVAL_MS = 400
const LIMIT_MS = 900
/** There and back over a good link. */
const ANSWER_MS = 0.5
/** What a new connection takes before its first answer: TCP's handshake and NBD's. */
const CONNECT_TRIPS = 4

export interface WorldLegWatchOptions {
  readonly client: HostId
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly storage: WorldStorage
  readonly hostAt: (endpoint: Leg['endpoint']) => HostId
}

export function worldLegWatch(options: WorldLegWatchOptions): LegWatch {
  return {
    watch: (endpoint, onChange) => watch(options, endpoint, onChange),
    ask: (endpoint, limitMs) => ask(options, endpoint, limitMs),
  }
}

async function ask(options: WorldLegWatchOptions, endpoint: Leg['endpoint'], limitMs: number): Promise<LegHealth> {
  const { client, clock, network, storage } = options
  const host = options.hostAt(endpoint)
  const role = networkAt(endpoint)
  const untilMs = clock.monotonicMs() + limitMs
  if (network.isClean(client, role) && network.isClean(host, role)) await clock.sleep(ANSWER_MS)
  else await clock.sleep(network.delayMs(client, host, role) + network.delayMs(host, client, role))
  const reach = storage.reach(client, host, role)
  if (reach === 'refuses') return 'refused'
  // It reads from the pool: a disk that fails or hangs does not answer either.
  if (reach === 'answers' && storage.disk(host) === 'fails') return 'refused'
  if (reach === 'answers' && storage.disk(host) !== 'hangs' && clock.monotonicMs() <= untilMs) return 'alive'
  await clock.sleep(untilMs - clock.monotonicMs())
  return 'unresponsive'
}

function watch(
  options: WorldLegWatchOptions,
  endpoint: Leg['endpoint'],
  onChange: (health: LegHealth) => void,
): () => void {
  const host = options.hostAt(endpoint)
  const role = networkAt(endpoint)
  const { client, clock, random, network, storage } = options
  let told: LegHealth | undefined
  /** The connection on which it was told to be alive is broken. */
  let isBroken = false
  let cancel: () => void = () => undefined
  const isNews = (health: LegHealth) => health !== told || (health === 'alive' && isBroken)
  const tell = (health: LegHealth) => {
    if (!isNews(health)) return
    told = health
    isBroken = false
    onChange(health)
  }
  const tellAfter = (ms: number, health: LegHealth) => {
    cancel()
    cancel = () => undefined
    if (isNews(health)) cancel = clock.after(ms, () => tell(health))
  }
  /** Over a bad link each question takes its own time, and one that was not answered is asked over a new connection. */
  const askAgain = (waitMs: number) => {
    cancel()
    cancel = clock.after(waitMs, () => {
      let ms = 0
      for (let trips = told === 'alive' && !isBroken ? 1 : CONNECT_TRIPS; trips > 0; trips--)
        ms += network.delayMs(client, host, role) + network.delayMs(host, client, role)
      cancel = clock.after(Math.min(ms, LIMIT_MS), () => {
        tell(ms <= LIMIT_MS ? 'alive' : 'unresponsive')
        askAgain(INTERVAL_MS)
      })
    })
  }
  const look = () => {
    // A standing observer sees nothing, and begins anew when it goes on.
    if (network.presence(client) !== 'on') return cancel()
    const waitMs = random.fraction() * INTERVAL_MS
    const reach = storage.reach(client, host, role)
    if (reach === 'refuses') {
      isBroken = true
      tellAfter(waitMs, 'refused')
    } else if (reach === 'silent') tellAfter(LIMIT_MS + waitMs, 'unresponsive')
    else if (client !== host && !(network.isClean(client, role) && network.isClean(host, role))) askAgain(waitMs)
    else tellAfter(waitMs, 'alive')
  }
  const off = storage.onChange(look)
  look()
  return () => {
    off()
    cancel()
  }
}
