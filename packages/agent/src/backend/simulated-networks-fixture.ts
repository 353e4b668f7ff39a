/** The ports of simulated hosts: a bridge for the guests, a bond for storage, one card between replicas. */
import type { NetworkRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { World } from '@stead/sim/world.ts'
import { ClusterNetworks, HostNetworks, networkCalls } from '../network/host-networks.ts'
import type { PingFigures } from '../network/ping.ts'
import type { HostPort, PortKind, PortMember } from '../network/host-ports.ts'
import type { TestBackend } from './backend-fixture.ts'

interface MadePort {
  readonly name: string
  readonly kind: PortKind
  readonly mtuBytes: number
  readonly speedBitsPerSecond: number
  readonly members: readonly string[]
}

const PORTS: Readonly<Record<NetworkRole, MadePort>> = {
  lan: { name: 'lanbr0', kind: 'bridge', mtuBytes: 1500, speedBitsPerSecond: 1e9, members: ['eno1'] },
  san: { name: 'bond0', kind: 'bond', mtuBytes: 9000, speedBitsPerSecond: 25e9, members: ['ens1f0', 'ens1f1'] },
  ran: { name: 'ens2', kind: 'card', mtuBytes: 9000, speedBitsPerSecond: 10e9, members: [] },
}

export function simulatedNetworks(world: World, { mirror }: Pick<TestBackend, 'mirror'>): ClusterNetworks {
  const state = () => mirror.state
  const ofHost = (id: HostId) =>
    new HostNetworks({
      ...{ self: id, state },
      heartbeats: () => world.host(id).guardian.view(),
      ports: async () => portsOf(world, id, state().hosts.get(id)?.value.addresses ?? {}),
      ping: async (from, to) => ok(wayBetween(world, state(), from, to)),
    })
  const self = 'h1' as HostId
  return new ClusterNetworks(
    {
      ...{ self, state },
      call: async (host, name, input) =>
        world.host(host).isOn
          ? networkCalls(ofHost(host))[name]!(input)
          : fail(failure('host_unreachable', `${host} does not answer`)),
    },
    ofHost(self),
  )
}

/** There and back: the simulated networks have no lengths, so each has one of its own. */
const LATENCY_MS: Readonly<Record<NetworkRole, number>> = { lan: 0.41, san: 0.12, ran: 0.17 }

function wayBetween({ network }: World, { hosts }: ClusterState, from: string, to: string): PingFigures {
  const ends = [...hosts.values()].flatMap(({ value }) =>
    (Object.entries(value.addresses) as [NetworkRole, string][]).map(([role, address]) => ({
      ...{ id: value.id, role, address },
    })),
  )
  const [here, there] = [from, to].map((address) => ends.find((end) => end.address === address))
  if (!here || !there || !network.passes(here.id, there.id, here.role) || !network.passes(there.id, here.id, here.role))
    return { lostShare: 1 }
  return { lostShare: 0, latencyMs: LATENCY_MS[here.role], jitterMs: 0.02 }
}

/** A cable that is pulled at this host is seen at its port. */
function portsOf(
  { network, hostIds }: World,
  id: HostId,
  addresses: Readonly<Partial<Record<NetworkRole, string>>>,
): ReadonlyMap<string, HostPort> {
  const hears = (role: NetworkRole) => hostIds.some((other) => other !== id && network.passes(other, id, role))
  return new Map(
    (Object.entries(addresses) as [NetworkRole, string][]).map(([role, address]) => {
      const { members, speedBitsPerSecond, ...made } = PORTS[role]
      const link = hears(role) ? ({ state: 'up', speedBitsPerSecond } as const) : ({ state: 'down' } as const)
      const counters = { faultyPackets: 0, droppedPackets: 0 }
      return [
        address,
        { ...made, ...link, ...counters, members: members.map((name): PortMember => ({ name, ...link })) },
      ]
    }),
  )
}
