/**
 * The ways from this host to another one's storage daemon: one for each network that both are on. Legs prefer the
 * network for storage; the others stand in while that is cut between the two.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { NetworkRole } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import type { Replica } from '../model/volume.ts'
import type { Leg } from '../ports/guest-host.ts'
import type { CopyRequest, ExportAddress, ExportKey } from '../ports/volume-host.ts'
import { addressOf, type HostContext } from './host-context.ts'

/** In this order legs take them. */
const LEG_NETWORKS: readonly NetworkRole[] = ['san', 'ran', 'lan']
/** In this order copies take them. */
const COPY_NETWORKS: readonly NetworkRole[] = ['ran', 'san', 'lan']
/** In calm a host is heard every 200 ms by one of its networks: one that was not heard for so long need not be tried. */
const HOST_SILENCE_MS_MAX = 600
/** They take turns, so that a whole network is silent for 600 ms: one that was silent for longer need not be tried. */
const NETWORK_SILENCE_MS_MAX = 1_000
/** On such networks a daemon answers within a millisecond; a guest may be standing still meanwhile. */
export const ANSWER_MS_MAX = 500
const DETECTION_MS = 1_000

export interface LegPath {
  readonly network: NetworkRole
  readonly endpoint: Leg['endpoint']
}

/** What a host's storage is reached at, on all of its networks alike. */
export interface StorageServer {
  readonly port: number
  readonly key?: ExportKey
}

/** Where other hosts than its own reach an export. */
export function serverOf({ port, gate }: ExportAddress): StorageServer {
  return gate ?? { port }
}

/** All ways to the host, the preferred one first. */
export function pathsTo(state: ClusterState, host: HostId, { port, key }: StorageServer): readonly LegPath[] {
  const addresses = state.hosts.get(host)?.value.addresses ?? {}
  return LEG_NETWORKS.flatMap((network) => {
    const address = addresses[network]
    if (address === undefined) return []
    return [{ network, endpoint: { kind: 'tcp', address, port, ...(key ? { key } : {}) } as const }]
  })
}

/** The network that an existing leg takes; undefined for one that never leaves its host. */
export function networkOf(state: ClusterState, { host, endpoint }: Leg): NetworkRole | undefined {
  if (endpoint.kind === 'unix') return undefined
  return pathsTo(state, host as HostId, endpoint).find((path) => addressIn(path) === endpoint.address)?.network
}

/** Those of the paths on which the storage daemon answers now, in their order. */
export async function answeringPaths(context: HostContext, host: HostId, paths: readonly LegPath[]) {
  const tried = paths.filter(({ network }) => brings(context, host, network))
  const health = await Promise.all(tried.map(({ endpoint }) => context.legWatch.ask(endpoint, ANSWER_MS_MAX)))
  return tried.filter((_, index) => health[index] === 'alive')
}

/**
 * Where this host's guest reaches a replica's export: by loopback on the same host, else by the first network on which
 * the storage daemon answers. Where none does, by the preferred one: opening it will say why it fails.
 */
export async function legEndpoint(
  context: HostContext,
  host: HostId,
  address: ExportAddress,
): Promise<Leg['endpoint']> {
  const { loopback, port, folder } = address
  if (folder !== undefined) return { kind: 'unix', path: folder }
  if (host === context.self) return { kind: 'tcp', address: loopback, port }
  const paths = pathsTo(context.mirror.state, host, serverOf(address))
  const path = (await answeringPaths(context, host, paths))[0] ?? paths[0]
  return path?.endpoint ?? { kind: 'tcp', address: '127.0.0.1', port }
}

/** Where a copy that runs on `from` finds its target. */
export function copyTarget(
  state: ClusterState,
  from: HostId,
  { host, pool }: Pick<Replica, 'host' | 'pool'>,
  address: ExportAddress,
): CopyRequest['target'] {
  const { exportName, loopback, port } = address
  const target = { host, pool, exportName }
  if (from === host) return { ...target, address: loopback, port }
  return { ...target, address: addressOf(state, host, COPY_NETWORKS), ...serverOf(address) }
}

function addressIn({ endpoint }: LegPath): string | undefined {
  return endpoint.kind === 'tcp' ? endpoint.address : undefined
}

/** True where the guardian does not know better. */
function brings({ fence }: HostContext, host: HostId, network: NetworkRole): boolean {
  const view = fence.view()
  if (!view || view.stalled) return true
  const ages = view.peers[host]?.ageMs ?? {}
  return Math.min(...Object.values(ages)) < HOST_SILENCE_MS_MAX && (ages[network] ?? Infinity) < NETWORK_SILENCE_MS_MAX
}

/** Whether the host can be expected to answer, by whichever network. */
export function isReachable({ self, mirror, fence }: HostContext, host: HostId): boolean {
  if (host === self) return true
  if (mirror.state.statuses.get(host)?.value.state !== 'online') return false
  const ages = fence.view()?.peers[host]?.ageMs ?? {}
  return Math.min(...Object.values(ages)) < (mirror.state.settings?.value.detectionMs ?? DETECTION_MS)
}
