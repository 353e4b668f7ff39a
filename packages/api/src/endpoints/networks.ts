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

export const networkWaySchema = z.object({
  network: z.enum(NETWORK_ROLES),
  from: z.string(),
  to: z.string(),
  lostShare: z.number().describe('Of ten small packets, 0 to 1'),
  latencyMs: z.number().nullable().describe('There and back, on average, ms; null: nothing came back'),
  jitterMs: z.number().nullable().describe('Mean deviation from that, ms'),
})
export type NetworkWayView = z.output<typeof networkWaySchema>

const silent = z.array(z.string()).describe('Hosts that are down or did not answer: their side is missing')

export const NETWORK_ENDPOINTS = {
  'network.list': endpoint({
    ...{ id: 'network.list', method: 'GET', path: '/v1/networks' },
    summary: 'Show the networks between hosts: ports, links, speeds, and who hears whom',
    permission: 'host.view',
    on: 'cluster',
    listedBy: ['host', 'network'],
    response: z.object({
      items: z.array(hostNetworkSchema),
      silent,
    }),
    status: 200,
  }),
  'network.measure': endpoint({
    ...{ id: 'network.measure', method: 'GET', path: '/v1/networks/ways' },
    summary: 'Measure how long packets take between the hosts on each network, and how many get lost; takes seconds',
    permission: 'host.view',
    on: 'cluster',
    listedBy: ['network', 'from', 'to'],
    response: z.object({ items: z.array(networkWaySchema), silent }),
    status: 200,
    // Every host sends to every other one.
    answerWithinMs: 30_000,
  }),
} as const
