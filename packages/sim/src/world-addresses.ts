/** The addresses of simulated hosts: one on each network, by the host's place in the order of succession. */
import type { NetworkRole } from '@stead/core/model/host.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'

const PREFIXES: Readonly<Record<NetworkRole, string>> = { lan: '10.66.0.', san: '10.77.0.', ran: '10.88.0.' }

export function addressesOf(order: number): Readonly<Record<NetworkRole, string>> {
  return { lan: `${PREFIXES.lan}${order}`, san: `${PREFIXES.san}${order}`, ran: `${PREFIXES.ran}${order}` }
}

/** What a leg goes over; within a host it does not matter. */
export function networkAt(endpoint: Leg['endpoint']): NetworkRole {
  if (endpoint.kind === 'unix') return 'san'
  return NETWORK_ROLES.find((role) => endpoint.address.startsWith(PREFIXES[role])) ?? 'san'
}

/** Undefined: the host itself. */
export function orderAt(endpoint: Leg['endpoint']): number | undefined {
  if (endpoint.kind === 'unix' || endpoint.address === '127.0.0.1') return undefined
  return Number(endpoint.address.split('.').at(-1))
}
