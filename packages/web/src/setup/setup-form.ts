/** What the wizard asks for, step by step, and the answers that come of it. The API's own schema judges them. Pure. */
import { setupAnswersSchema, type SetupPort, type SetupView } from '@stead/api/endpoints/set-up.ts'
import { describeIssues } from '@stead/api/issues.ts'
import { NETWORK_ROLES, type HostRole, type NetworkRole } from '@stead/core/model/host.ts'
import type { BondMode } from '@stead/core/network/bond-plan.ts'
import type { z } from 'zod'

export const SCENARIOS = ['single', 'pair', 'join'] as const
export type Scenario = (typeof SCENARIOS)[number]

export type SetupStepName = 'what' | 'networks' | 'disks' | 'cluster' | 'summary'

export interface SetupPool {
  readonly name: string
  readonly path: string
  readonly sizeGib: number
}

export interface SetupBond {
  readonly name: string
  readonly ports: readonly string[]
  readonly mode: BondMode
  /** With the length of its network; empty: what its ports have. */
  readonly address: string
}

export interface SetupForm {
  readonly scenario: Scenario
  readonly token: string
  readonly host: string
  /** Empty: none of its own. */
  readonly addresses: Readonly<Record<NetworkRole, string>>
  readonly bonds: readonly SetupBond[]
  readonly pools: readonly SetupPool[]
  /** `UID:GID`; empty: root. */
  readonly guestUser: string
  readonly cluster: string
  readonly clusterAddress: string
  readonly administrator: string
}

export type SetupAnswersInput = z.input<typeof setupAnswersSchema>

const GIB = 2 ** 30
/** What is left to the file system itself, and to whatever else lies on it. */
const POOL_SHARE = 0.9

/** The first network that the host has for all roles, and the file system with the most room for disks. */
export function proposedForm({ host, ports, fileSystems }: SetupView): SetupForm {
  const [largest] = fileSystems.toSorted((a, b) => b.freeBytes - a.freeBytes)
  return {
    ...{ scenario: 'pair', token: '', host, guestUser: '', cluster: '', clusterAddress: '' },
    administrator: 'admin',
    bonds: [],
    addresses: { lan: addressesOf(ports)[0]?.address ?? '', san: '', ran: '' },
    pools: largest ? [proposedPool(largest)] : [],
  }
}

export function proposedPool({ path, freeBytes }: Pick<SetupView['fileSystems'][number], 'path' | 'freeBytes'>) {
  const sizeGib = Math.max(1, Math.floor((freeBytes * POOL_SHARE) / GIB))
  return { name: 'default', path: path === '/' ? '/srv/stead' : `${path}/stead`, sizeGib }
}

/** What bonds are made of. */
export function cardsOf(ports: readonly SetupPort[]): readonly SetupPort[] {
  return ports.filter(({ kind }) => kind === 'ethernet')
}

/** Named as no other one of them. */
export function proposedBond(bonds: readonly SetupBond[]): SetupBond {
  const names = new Set(bonds.map(({ name }) => name))
  const free = bonds.map((_, index) => `bond${index}`).find((name) => !names.has(name))
  return { name: free ?? `bond${bonds.length}`, ports: [], mode: 'active-backup', address: '' }
}

/** The ports as they are, and bonds that bring an address of their own. */
export function portsToCome(ports: readonly SetupPort[], bonds: readonly SetupBond[]): readonly SetupPort[] {
  const made = bonds
    .filter(({ address }) => address.includes('/'))
    .map(({ name, ports: members, address }): SetupPort => {
      const cards = ports.filter((port) => members.includes(port.name))
      const speeds = cards.flatMap(({ speedMbits }) => speedMbits ?? [])
      return {
        ...{ name, kind: 'bond', mac: '', mtu: cards[0]?.mtu ?? 0, members: [...members], addresses: [address.trim()] },
        up: cards.some(({ up }) => up),
        speedMbits: speeds.length === 0 ? null : Math.max(...speeds),
      }
    })
  return [...made, ...ports]
}

export interface PortAddress {
  readonly address: string
  readonly port: SetupPort
}

/** Those with a link first. */
export function addressesOf(ports: readonly SetupPort[]): readonly PortAddress[] {
  return ports
    .flatMap((port) => port.addresses.map((one) => ({ address: one.split('/')[0] ?? '', port })))
    .toSorted((a, b) => Number(b.port.up) - Number(a.port.up))
}

/** What a token says of itself, for whoever holds it; undefined of what is none, or of an older one. The cluster decides. */
export function purposeOf(token: string): { readonly cluster: string; readonly role: HostRole } | undefined {
  const [, content] = /^\s*stead-join-([\w-]+)\s*$/.exec(token) ?? []
  if (content === undefined) return undefined
  try {
    const bytes = Uint8Array.from(atob(content.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
    const { cluster, role } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>
    return typeof cluster === 'string' && (role === 'compute' || role === 'witness') ? { cluster, role } : undefined
  } catch {
    return undefined
  }
}

/** It votes: it holds no disks, and nobody runs guests there. */
export function isWitness({ scenario, token }: Pick<SetupForm, 'scenario' | 'token'>): boolean {
  return scenario === 'join' && purposeOf(token)?.role === 'witness'
}

/** Steps that there are; a host that joins is told the cluster's own settings. */
export function stepsOf(form: SetupForm): readonly SetupStepName[] {
  if (isWitness(form)) return ['what', 'networks', 'summary']
  return form.scenario === 'join'
    ? ['what', 'networks', 'disks', 'summary']
    : ['what', 'networks', 'disks', 'cluster', 'summary']
}

export function answersOf(form: SetupForm): SetupAnswersInput {
  const addresses = Object.fromEntries(
    NETWORK_ROLES.flatMap((role) => (form.addresses[role] === '' ? [] : [[role, form.addresses[role]]])),
  )
  const votesOnly = isWitness(form)
  const [uid, gid] = form.guestUser.trim().split(':').map(Number)
  const pools = form.pools.map(({ name, path, sizeGib }) => ({
    ...{ name: name.trim(), path: path.trim(), capacityBytes: Math.round(sizeGib * GIB) },
  }))
  const bonds = form.bonds.map(({ name, ports, mode, address }) => ({
    ...{ name: name.trim(), ports: [...ports], mode },
    addresses: address.trim() === '' ? [] : [address.trim()],
  }))
  const onHost = {
    ...{ host: form.host.trim(), addresses },
    ...(bonds.length === 0 ? {} : { bonds }),
    pools: votesOnly ? [] : pools,
    ...(votesOnly || form.guestUser.trim() === '' ? {} : { guestUser: { uid: uid ?? NaN, gid: gid ?? NaN } }),
  }
  if (form.scenario === 'join') return { kind: 'join', ...onHost, token: form.token.trim() }
  return {
    ...{ kind: 'init', ...onHost, cluster: form.cluster.trim() },
    ...(form.clusterAddress.trim() === '' ? {} : { clusterAddress: form.clusterAddress.trim() }),
    ...(form.administrator.trim() === '' ? {} : { administrator: form.administrator.trim() }),
    ...(form.scenario === 'pair' ? { invite: ['compute', 'witness'] } : {}),
  }
}

const STEP_OF_FIELD: Readonly<Record<string, SetupStepName>> = {
  ...{
    token: 'what',
    host: 'networks',
    addresses: 'networks',
    bonds: 'networks',
    guestUser: 'networks',
    pools: 'disks',
  },
  ...{ cluster: 'cluster', clusterAddress: 'cluster', administrator: 'cluster' },
}

/** By step, what the schema says against it. */
export function complaintsAbout(form: SetupForm): Readonly<Partial<Record<SetupStepName, string>>> {
  const checked = setupAnswersSchema.safeParse(answersOf(form))
  if (checked.success) return {}
  const issues = Map.groupBy(checked.error.issues, ({ path }) => STEP_OF_FIELD[String(path[0])] ?? 'summary')
  return Object.fromEntries([...issues].map(([step, of]) => [step, describeIssues(of, setupAnswersSchema).message]))
}

export type PortFinding =
  | { readonly kind: 'no-link'; readonly port: string }
  | { readonly kind: 'slow'; readonly port: string; readonly speedMbits: number }
  | { readonly kind: 'shared'; readonly port: string; readonly with: NetworkRole }

const STORAGE_MBITS_MIN = 1_000

/** What a choice of port means, before anything is measured. */
export function portFindings(
  role: NetworkRole,
  { addresses }: Pick<SetupForm, 'addresses'>,
  ports: readonly SetupPort[],
): readonly PortFinding[] {
  const known = addressesOf(ports)
  const portOf = (one: NetworkRole) => known.find(({ address }) => address === addresses[one])?.port
  const port = portOf(role)
  if (!port) return []
  const { name, up, speedMbits } = port
  const sharing = NETWORK_ROLES.slice(0, NETWORK_ROLES.indexOf(role)).find((other) => portOf(other)?.name === name)
  return [
    ...(up ? [] : [{ kind: 'no-link', port: name } as const]),
    ...(role !== 'lan' && speedMbits !== null && speedMbits < STORAGE_MBITS_MIN
      ? [{ kind: 'slow', port: name, speedMbits } as const]
      : []),
    ...(sharing ? [{ kind: 'shared', port: name, with: sharing } as const] : []),
  ]
}
