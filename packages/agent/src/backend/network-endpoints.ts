/** The networks between hosts, as each host sees its own side. */
import type { HostNetworkView } from '@stead/api/endpoints/networks.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { HostNetwork } from '../network/host-networks.ts'
import type { PortMember } from '../network/host-ports.ts'
import type { Desk } from './desk.ts'

/** The networks take turns: of three each carries every third heartbeat, and a loaded host is late besides. */
const SILENT_DETECTION_TIMES = 2
/** Before the cluster's settings are known. */
const DETECTION_MS = 3_000

export function networkEndpoints(desk: Desk): Pick<ApiBackend, 'network.list' | 'network.measure'> {
  return {
    'network.list': async () => {
      const hosts = [...desk.state.hosts.keys()].toSorted()
      const { answered, silent } = await desk.context.networks.of(hosts)
      const silentMs = SILENT_DETECTION_TIMES * (desk.state.settings?.value.detectionMs ?? DETECTION_MS)
      const views = answered.flatMap(([host, networks]) =>
        networks.map((network) => networkView(host, network, { silentMs, isUp: desk.isUp })),
      )
      return ok({ items: views, silent: [...silent] })
    },
    'network.measure': async () => {
      const { answered, silent } = await desk.context.networks.measured([...desk.state.hosts.keys()].toSorted())
      const items = answered.flatMap(([from, ways]) =>
        ways.map(({ network, to, lostShare, latencyMs = null, jitterMs = null }) => ({
          ...{ network, from, to, lostShare, latencyMs, jitterMs },
        })),
      )
      return ok({ items, silent: [...silent] })
    },
  }
}

function networkView(
  host: HostId,
  { network, address, port, peers }: HostNetwork,
  { silentMs, isUp }: { readonly silentMs: number; readonly isUp: (host: HostId) => boolean },
): HostNetworkView {
  const heard = (peer: HostNetwork['peers'][number]) =>
    (peer.silentMs ?? Infinity) <= silentMs ? 'heard' : isUp(peer.host) ? 'silent' : 'down'
  return {
    ...{ host, network, address },
    port: port
      ? {
          ...memberView(port),
          ...{ kind: port.kind, vlan: port.vlan ?? null, mtuBytes: port.mtuBytes },
          ...{ faultyPackets: port.faultyPackets, droppedPackets: port.droppedPackets },
          members: port.members.map(memberView),
        }
      : null,
    peers: peers.map((peer) => ({ host: peer.host, silentMs: peer.silentMs ?? null, state: heard(peer) })),
  }
}

function memberView({ name, state, speedBitsPerSecond }: PortMember) {
  return { name, state, speedBitsPerSecond: speedBitsPerSecond ?? null }
}
