/** The cluster as a whole, as the API shows it. */
import type { ClusterView } from '@stead/api/cluster-view.ts'
import type { GuestView, HostView } from '@stead/api/views.ts'
import { hostsWithoutKey } from '@stead/core/ha/heartbeat-key-step.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { FIRST_HEARTBEAT_KEY } from '@stead/core/model/heartbeat-key.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { certificateWarning } from '@stead/core/model/web-certificate.ts'
import { SHARES_NEEDED } from '@stead/core/model/vault.ts'
import { worst, type ViewContext } from './views.ts'

/** `hosts` and `guests`: the views of all of them. */
export function clusterView(
  { state }: ViewContext,
  self: HostId,
  hosts: readonly HostView[],
  guests: readonly GuestView[],
  wallMs: number,
): ClusterView {
  const settings = state.settings?.value
  return {
    id: settings?.id ?? '',
    name: settings?.name ?? '',
    coordinator: state.coordinator?.value.host ?? null,
    term: state.coordinator?.value.term ?? 0,
    address: addressView(state),
    heartbeatKey: heartbeatKeyView(state),
    answeredBy: self,
    hosts: { total: hosts.length, online: hosts.filter((host) => host.state === 'online').length },
    guests: {
      total: guests.length,
      running: guests.filter((guest) => guest.state === 'running').length,
      waiting: guests.filter((guest) => guest.state === 'waiting').length,
    },
    protection: worst(guests.map((guest) => guest.protection)),
    detectionMs: settings?.detectionMs ?? 0,
    heartbeatIntervalMs: settings?.heartbeatIntervalMs ?? 0,
    leaseTtlMs: settings?.leaseTtlMs ?? 0,
    secrets: secretsView(state),
    warnings: [...warnings(hosts, guests), ...secretsWarning(state), ...certificateWarnings(state, wallMs)],
    createdAt: new Date(settings?.createdAt ?? 0).toISOString(),
  }
}

function addressView(state: ClusterState): ClusterView['address'] {
  const address = state.clusterPolicy?.value.clusterAddress
  const holder = state.addressHolder?.value
  if (address === undefined) return null
  return { address, holder: holder?.address === address ? holder.host : null }
}

function heartbeatKeyView(state: ClusterState): ClusterView['heartbeatKey'] {
  const { generation, due, formerCounts, madeAt, madeFor } = state.heartbeatKey?.value ?? FIRST_HEARTBEAT_KEY
  const hosts = [...state.hosts.keys()]
  return {
    generation,
    changedAt: generation === 0 ? null : new Date(madeAt).toISOString(),
    knownBy: [...(formerCounts ? madeFor : []), ...due],
    waitsFor: formerCounts ? [...hostsWithoutKey(state, hosts)] : [],
  }
}

function secretsView({ vault }: ClusterState): ClusterView['secrets'] {
  if (!vault) return { state: 'clear', holders: [], sharesNeeded: 0 }
  const { keeping, holders } = vault.value
  return keeping === 'beside'
    ? { state: 'key-beside', holders: [...holders], sharesNeeded: 0 }
    : { state: 'sealed', holders: [...holders], sharesNeeded: SHARES_NEEDED }
}

function certificateWarnings(state: ClusterState, wallMs: number): string[] {
  const warning = certificateWarning(state, wallMs)
  return warning === undefined ? [] : [warning]
}

function secretsWarning({ vault, hosts }: ClusterState): string[] {
  if (!vault)
    return hosts.size === 0
      ? []
      : ['Secrets lie in clear on the disks: they are sealed once every member is up and has a share of the key.']
  return vault.value.keeping === 'shares'
    ? []
    : ['Fewer than three members: the key of the secrets lies on the same disks as they. Whoever takes one, has them.']
}

/** When a host falls thousands may be meant. */
const WARNED_GUESTS_MAX = 50

function warnings(hosts: readonly HostView[], guests: readonly GuestView[]): string[] {
  const found: string[] = []
  if (hosts.length === 1) found.push('One host only: if it falls, nothing stands in its stead. Guests are unprotected.')
  if (hosts.length === 2)
    found.push(
      'Two hosts without a witness: no automatic failover. If one dies, run `stead failover --confirm-dead HOST`, or add a witness.',
    )
  const unprotected = guests.filter((guest) => guest.protection.level !== 'protected')
  for (const { name, protection } of unprotected.slice(0, WARNED_GUESTS_MAX))
    found.push(`${name} is ${protection.level}: ${protection.reason}`)
  const more = unprotected.length - WARNED_GUESTS_MAX
  if (more > 0) found.push(`and ${more} guests more`)
  return found
}
