/**
 * Makes a bond, and takes it back where the host no longer reaches whom it reached before. All by `ip`, which the caller
 * runs: on this host, or on the machine of a test.
 */
import {
  planBond,
  type Bond,
  type BondPlan,
  type BondRoute,
  type BondState,
  type PlainPort,
} from '@stead/core/network/bond-plan.ts'
import { failure } from '@stead/core/errors.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { answersPing } from './answers-ping.ts'
import { linkSpeedMbits } from './link-speed.ts'

export interface NetworkShell {
  /** Its output. `input`: what it reads. */
  readonly ip: (args: readonly string[], input?: string) => Promise<Result<string>>
  readonly answers: (address: string) => Promise<boolean>
  readonly speedMbits: (port: string) => number | undefined
}

const IP_MS = 10_000

export const ownNetwork: NetworkShell = {
  ip: async (args, input) => {
    const told = await runProgram('ip', args, IP_MS, input === undefined ? {} : { input })
    return told.ok ? ok(told.value.output) : told
  },
  answers: answersPing,
  speedMbits: linkSpeedMbits,
}

interface IpLink {
  readonly ifname: string
  readonly flags: readonly string[]
  readonly mtu: number
  readonly master?: string
  readonly link_type: string
  readonly linkinfo?: { readonly info_kind?: string }
  readonly addr_info?: readonly {
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
    readonly dynamic?: boolean
  }[]
}

interface IpRoute {
  readonly dst: string
  readonly gateway?: string
  readonly dev?: string
  readonly metric?: number
  readonly protocol?: string
}

export async function plainPorts(shell: NetworkShell): Promise<Result<readonly PlainPort[]>> {
  const links = await shell.ip(['-json', '-details', 'address', 'show'])
  if (!links.ok) return links
  const routes: IpRoute[] = []
  for (const family of ['-4', '-6']) {
    const told = await shell.ip([family, '-json', 'route', 'show'])
    // A kernel may be without IPv6.
    if (told.ok) routes.push(...(JSON.parse(told.value || '[]') as readonly IpRoute[]))
  }
  return ok(
    (JSON.parse(links.value) as readonly IpLink[])
      .filter(({ link_type: type }) => type !== 'loopback')
      .map((link) => plainPort(link, routes, shell.speedMbits(link.ifname))),
  )
}

function plainPort(link: IpLink, routes: readonly IpRoute[], speedMbits: number | undefined): PlainPort {
  const kind = link.linkinfo?.info_kind
  return {
    name: link.ifname,
    kind:
      kind === 'bond'
        ? 'bond'
        : link.link_type === 'ether' && (kind === undefined || kind === 'veth')
          ? 'card'
          : 'other',
    // Of a port that is set down nobody knows; the bond sets it up.
    hasLink: link.flags.includes('LOWER_UP') || !link.flags.includes('UP'),
    ...(speedMbits === undefined ? {} : { speedMbits }),
    mtuBytes: link.mtu,
    ...(link.master === undefined ? {} : { master: link.master }),
    addresses: (link.addr_info ?? [])
      .filter(({ scope }) => scope === 'global')
      .map(({ local, prefixlen, dynamic }) => ({ address: `${local}/${prefixlen}`, leased: dynamic === true })),
    // The kernel makes the routes to the addresses' own networks by itself.
    routes: routes
      .filter(({ dev, protocol }) => dev === link.ifname && protocol !== 'kernel')
      .map(({ dst, gateway, metric }): BondRoute => ({
        to: dst,
        ...(gateway === undefined ? {} : { via: gateway }),
        ...(metric === undefined ? {} : { metric }),
      })),
  }
}

export async function planOn(shell: NetworkShell, bond: Bond): Promise<Result<BondPlan>> {
  const ports = await plainPorts(shell)
  return ports.ok ? ok(planBond(bond, ports.value)) : ports
}

export interface Proof {
  /** Besides the gateways: hosts of the cluster, whoever is at the other end of this session. */
  readonly peers: readonly string[]
  /** For which those may stay silent. */
  readonly withinMs: number
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

const AGAIN_MS = 500

/** Whoever answered before answers afterwards, or everything is as it was. */
export async function makeBond(shell: NetworkShell, plan: BondPlan, proof: Proof): Promise<Result<void>> {
  if (plan.orders.length === 0) return ok()
  const asked = [...new Set([...plan.gateways, ...proof.peers])]
  const before = await answering(shell, asked)
  const made = await shell.ip(['-batch', '-'], batch(plan.orders))
  const silent = made.ok ? await silentAfter(shell, before, proof) : []
  if (made.ok && silent.length === 0) return ok()
  const undone = await shell.ip(['-force', '-batch', '-'], batch(plan.undo))
  const { name } = plan.bond
  const text = made.ok
    ? `${silent.join(', ')} did not answer through ${name} within ${proof.withinMs / 1000} s`
    : made.error.message
  return fail(
    failure('conflict', `The bond ${name} was not made: ${text}. The ports are as they were`, {
      hint: made.ok
        ? 'Look at the switch: are the ports in one network, and set up for this mode?'
        : 'See: dmesg, ip link',
      cause: undone.ok ? undefined : undone.error,
    }),
  )
}

async function answering(shell: NetworkShell, asked: readonly string[]): Promise<string[]> {
  const answers = await Promise.all(asked.map((address) => shell.answers(address)))
  return asked.filter((_, index) => answers[index])
}

async function silentAfter(
  shell: NetworkShell,
  expected: readonly string[],
  { withinMs, clock }: Proof,
): Promise<readonly string[]> {
  const deadline = clock.monotonicMs() + withinMs
  for (let left = expected; ;) {
    const heard = await answering(shell, left)
    left = left.filter((address) => !heard.includes(address))
    if (left.length === 0 || clock.monotonicMs() >= deadline) return left
    await clock.sleep(AGAIN_MS)
  }
}

function batch(orders: readonly string[]): string {
  return `${orders.join('\n')}\n`
}

interface IpSlave {
  readonly ifname: string
  readonly flags: readonly string[]
  readonly master?: string
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_slave_kind?: string
    readonly info_slave_data?: { readonly mii_status?: string }
  }
}

/** Of all bonds that the host has, whoever made them. */
export async function bondStates(shell: Pick<NetworkShell, 'ip'>): Promise<Result<readonly BondState[]>> {
  const told = await shell.ip(['-json', '-details', 'link', 'show'])
  if (!told.ok) return told
  const links = JSON.parse(told.value) as readonly IpSlave[]
  return ok(
    links
      .filter(({ linkinfo }) => linkinfo?.info_kind === 'bond')
      .map(({ ifname }) => ({
        name: ifname,
        ports: links
          .filter(({ master }) => master === ifname)
          .map((port) => ({ name: port.ifname, isUp: port.linkinfo?.info_slave_data?.mii_status === 'UP' })),
      })),
  )
}
