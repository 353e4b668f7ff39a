/** The networks between hosts: who has which port on them, and who hears whom. */
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'

const state = z.enum(['up', 'down', 'unknown']).describe('Of its link, as the kernel tells it')
const speedBitsPerSecond = z.number().nullable().describe('As the port tells it; null where it does not')

export const hostNetworkSchema = z.object({
  host: z.string(),
  network: z.enum(NETWORK_ROLES),
  address: z.string(),
  port: z
    .object({
      name: z.string(),
      kind: z.enum(['card', 'bridge', 'bond', 'vlan', 'virtual']),
      vlan: z.number().int().nullable().describe('Its number; null of other kinds'),
      state: state.describe('Of a bridge or a bond: whether it leads outside'),
      speedBitsPerSecond,
      mtuBytes: z.number().int(),
      faultyPackets: z.number().describe('That arrived or left broken, since there is this port'),
      droppedPackets: z.number().describe('For which there was no room, since there is this port'),
      members: z
        .array(z.object({ name: z.string(), state, speedBitsPerSecond }))
        .describe('Of a bridge or a bond: the ports by which it leads outside'),
    })
    .nullable()
    .describe('Which has the address; null: none of the host does'),
  peers: z
    .array(
      z.object({
        host: z.string(),
        silentMs: z.number().nullable().describe('Since its last heartbeat here, ms; null: none ever came'),
        state: z
          .enum(['heard', 'silent', 'down'])
          .describe('`silent`: it is up, yet is not heard on this network; `down`: it is not up at all'),
      }),
    )
    .describe('The other hosts with an address on this network, and whether this one hears them there'),
})
export type HostNetworkView = z.output<typeof hostNetworkSchema>

export const NETWORK_ENDPOINTS = {
  'network.list': endpoint({
    ...{ id: 'network.list', method: 'GET', path: '/v1/networks' },
    summary: 'Show the networks between hosts: ports, links, speeds, and who hears whom',
    permission: 'host.view',
    on: 'cluster',
    listedBy: ['host', 'network'],
    response: z.object({
      items: z.array(hostNetworkSchema),
      silent: z.array(z.string()).describe('Hosts that are down or did not answer: their side is missing'),
    }),
    status: 200,
  }),
} as const
