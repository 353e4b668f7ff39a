/** What can be done to a host now, and why not the rest. The agents decide; this only keeps people from asking in vain. */
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostView } from '@stead/api/views.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import type { TextKey } from '../i18n/language.ts'

export type HostAction =
  | 'drain'
  | 'undrain'
  | 'shutdown'
  | 'cancelShutdown'
  | 'cutPower'
  | 'restorePower'
  | 'confirmDead'
  | 'domains'
  | 'remove'

type Facts = Pick<HostView, 'role' | 'state' | 'maintenance' | 'shutdown' | 'guests' | 'powerSwitch'>

/** What there is to do to it, the most common first. A witness runs no guests. */
export function hostActions({ role, maintenance, shutdown, powerSwitch }: Facts): readonly HostAction[] {
  const power = powerSwitch ? (['cutPower', 'restorePower'] as const) : []
  if (role === 'witness') return ['domains', ...power, 'remove']
  return [
    maintenance ? 'undrain' : 'drain',
    shutdown === null ? 'shutdown' : 'cancelShutdown',
    ...(['domains', ...power, 'confirmDead', 'remove'] as const),
  ]
}

/** Undefined: it can be done. Otherwise why not. */
export function obstacleTo(action: HostAction, { state, guests }: Facts): TextKey | undefined {
  const isHeard = state !== 'suspected' && state !== 'lost' && state !== 'unknown'
  // One that is not heard from may hang: its plug can be pulled all the same.
  if ((action === 'confirmDead' || action === 'restorePower') && isHeard) return 'host.obstacle.heard'
  if (action === 'shutdown' && state === 'lost') return 'host.obstacle.lost'
  return action === 'remove' && guests.length > 0 ? 'host.obstacle.guests' : undefined
}

/** What who asks must be allowed, and where. */
export function demandOf(action: HostAction, host: string): { readonly privilege: Privilege; readonly path: string } {
  const { permission: privilege, on } = ENDPOINTS[ENDPOINT_OF[action]]
  return { privilege, path: on === 'cluster' ? '/' : `/hosts/${host}` }
}

const ENDPOINT_OF = {
  drain: 'host.drain',
  undrain: 'host.undrain',
  shutdown: 'host.shutdown',
  cancelShutdown: 'host.cancel-shutdown',
  cutPower: 'host.cut-power',
  restorePower: 'host.restore-power',
  confirmDead: 'cluster.failover',
  domains: 'host.set',
  remove: 'host.remove',
} as const satisfies Record<HostAction, keyof typeof ENDPOINTS>

type Domains = HostView['faultDomains']

/** `rack=r1, room=cellar`, as it is typed. */
export function domainsText(domains: Domains): string {
  return Object.entries(domains)
    .map(([kind, name]) => `${kind}=${name}`)
    .join(', ')
}

/** What the host's domains are to become: null of one that is not there any more. Undefined: it is no list of domains. */
export function domainsChange(before: Domains, text: string): Record<string, string | null> | undefined {
  const change: Record<string, string | null> = Object.fromEntries(Object.keys(before).map((kind) => [kind, null]))
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  for (const part of parts) {
    const [kind = '', name = '', ...rest] = part.split('=').map((word) => word.trim())
    if (kind === '' || name === '' || rest.length > 0) return undefined
    change[kind] = name
  }
  return change
}
