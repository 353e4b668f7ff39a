/** One leg of a running guest's disk: where it leads, whether its server is alive, and since when a better way is whole. */
import type { NetworkRole } from '../model/host.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { replicaOn } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { Leg } from '../ports/guest-host.ts'
import type { LegHealth } from '../ports/leg-watch.ts'
import type { HostContext } from './host-context.ts'
import { networkOf, pathsTo } from './leg-paths.ts'

/** A preferred network that is whole again must stay so for this long before the leg returns to it. */
const DIRECT_HOLD_MS = 10_000
/** How often the host of a leg is asked whether it still serves it, while it does not answer. */
const SERVED_ASK_MS = [500, 2_000, 5_000] as const

export class KeptLeg {
  readonly leg: Leg
  /** Undefined: it never leaves this host, or its network is unknown. */
  readonly network: NetworkRole | undefined
  health: LegHealth | undefined
  readonly #context: HostContext
  readonly #volume: VolumeId
  readonly #stops: (() => void)[]
  #directSinceMs: number | undefined

  constructor(context: HostContext, volume: VolumeId, leg: Leg, onTrouble: (leg: KeptLeg, health: LegHealth) => void) {
    this.#context = context
    this.#volume = volume
    this.leg = leg
    const state = context.mirror.state
    this.network = networkOf(state, leg)
    const onChange = (health: LegHealth) => {
      const isRenewed = health === 'alive' && this.health === 'alive'
      this.health = health
      if (health !== 'alive') onTrouble(this, health)
      else if (isRenewed) void this.#askWhetherServed(() => onTrouble(this, (this.health = 'refused')))
    }
    // A folder has no server that could die while this host lives.
    this.#stops = leg.folder === undefined ? [context.legWatch.watch(leg.endpoint, onChange)] : []
    const preferred = this.paths()[0]
    if (this.network === undefined || !preferred || preferred.network === this.network) return
    this.#stops.push(
      context.legWatch.watch(preferred.endpoint, (health) => {
        this.#directSinceMs = health === 'alive' ? context.clock.monotonicMs() : undefined
      }),
    )
  }

  /** All ways to its replica, the preferred one first; none for a leg that is no matter of networks. */
  paths() {
    const { host, endpoint } = this.leg
    if (this.network === undefined || endpoint.kind === 'unix') return []
    return pathsTo(this.#context.mirror.state, host as HostId, endpoint)
  }

  /** Set while it does not take the preferred network. */
  get redirected(): NetworkRole | undefined {
    const preferred = this.paths()[0]?.network
    return preferred === undefined || preferred === this.network ? undefined : this.network
  }

  /** The preferred network has been whole for long enough. */
  get mayReturn(): boolean {
    const sinceMs = this.#directSinceMs
    return sinceMs !== undefined && this.#context.clock.monotonicMs() - sinceMs >= DIRECT_HOLD_MS
  }

  /** Not at once again after a return that came to nothing. */
  holdAgain(): void {
    if (this.#directSinceMs !== undefined) this.#directSinceMs = this.#context.clock.monotonicMs()
  }

  /**
   * A server that was killed and is back within a moment has forgotten its exports: the guest's connection is dead, and one
   * that writes nothing would learn of it only with its next write. A host that does not answer proves nothing.
   */
  async #askWhetherServed(onDead: () => void): Promise<void> {
    for (const pauseMs of SERVED_ASK_MS) {
      const isServed = await isServedBy(this.#context, this.#volume, this.leg)
      if (this.#stops.length === 0 || this.health !== 'alive') return
      if (isServed === false) return onDead()
      if (isServed !== undefined) return
      await this.#context.clock.sleep(pauseMs)
    }
  }

  stopWatch(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }
}

/** Those of a disk's legs that are known to be dead, or whose host no longer serves them. */
export async function findDeadLegs(
  context: HostContext,
  id: VolumeId,
  legs: ReadonlyMap<HostId, KeptLeg>,
): Promise<KeptLeg[]> {
  const verdicts = await Promise.all(
    [...legs.values()].map(async (leg) => {
      if (leg.leg.folder !== undefined) return undefined
      if (leg.health !== undefined && leg.health !== 'alive') return leg
      const isServed = await isServedBy(context, id, leg.leg)
      return isServed === true || isServed === 'not-a-replica' ? undefined : leg
    }),
  )
  return verdicts.filter((leg) => leg !== undefined)
}

/** Undefined when its host does not say. */
async function isServedBy(
  { mirror, volumesOn }: HostContext,
  id: VolumeId,
  { host, exportName }: Leg,
): Promise<boolean | 'not-a-replica' | undefined> {
  const volume = mirror.state.volumes.get(id)?.value
  const pool = volume && replicaOn(volume, host as HostId)?.pool
  if (pool === undefined) return 'not-a-replica'
  const info = await volumesOn(host as HostId).inspect(id, pool)
  return info.ok ? info.value.exports.includes(exportName) : undefined
}

/** The record as it says by which network each leg goes that does not take the preferred one. */
export function withLegPaths(volume: Volume, legs: ReadonlyMap<HostId, KeptLeg>): Volume {
  if (volume.replicas.every(({ host, redirected }) => legs.get(host)?.redirected === redirected)) return volume
  const replicas = volume.replicas.map(({ redirected: _old, ...replica }) => {
    const redirected = legs.get(replica.host)?.redirected
    return redirected === undefined ? replica : { ...replica, redirected }
  })
  return { ...volume, replicas }
}

/**
 * Of a disk that was opened just now: the legs that do not take the preferred network. The record names those that an
 * earlier agent told of.
 */
export function untoldDetours(record: Volume | undefined, legs: ReadonlyMap<HostId, KeptLeg>) {
  return [...legs].flatMap(([host, leg]) => {
    const [preferred, ...others] = leg.paths()
    const path = others.find(({ network }) => network === leg.network)
    if (!preferred || !path || (record && replicaOn(record, host)?.redirected === path.network)) return []
    return [{ host, path, reason: `the ${preferred.network.toUpperCase()} did not answer when it was opened` }]
  })
}
