/**
 * This host's networks by role: the port with the address, and for how long it has heard nothing of each other host there.
 * The heartbeats take turns on the networks while all is well (docs/internals/failover.md), so that each shows within a
 * few rounds whether it works.
 */
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { gather, type AskedHostsOptions, type Gathered } from '../asked-hosts.ts'
import { runProgram } from '../process/run-program.ts'
import { portsByAddress, type HostPort } from './host-ports.ts'
import { linkSpeedMbits } from './link-speed.ts'
import { ping, type PingFigures } from './ping.ts'

export interface HostNetwork {
  readonly network: NetworkRole
  readonly address: string
  /** Undefined: no port of the host has the address. */
  readonly port?: HostPort
  readonly peers: readonly HeardPeer[]
}

export interface HeardPeer {
  readonly host: HostId
  /** Since its last heartbeat on this network, ms; undefined: none ever came. */
  readonly silentMs?: number
}

/** From this host to another one and back. */
export interface MeasuredWay extends PingFigures {
  readonly network: NetworkRole
  readonly to: HostId
}

const IP_MS = 1_000
/** Each sends twenty packets a second: as many as do not measure each other. */
const PINGS_AT_A_TIME = 8
/** Thirty hosts on three networks take six seconds; one that does not answer, two. */
const MEASURING_MS = 25_000

export interface HostNetworksOptions {
  readonly self: HostId
  readonly state: () => ClusterState
  readonly heartbeats: () => HeartbeatView | undefined
  /** What `ip` says. */
  readonly ports?: () => Promise<ReadonlyMap<string, HostPort>>
  /** From an address of this host to one of another. */
  readonly ping?: typeof ping
}

export class HostNetworks {
  readonly #options: HostNetworksOptions

  constructor(options: HostNetworksOptions) {
    this.#options = options
  }

  async look(): Promise<readonly HostNetwork[]> {
    const { self, state, heartbeats, ports = linuxPorts } = this.#options
    const found = await ports()
    const { hosts } = state()
    const view = heartbeats()
    return NETWORK_ROLES.flatMap((network) => {
      const address = hosts.get(self)?.value.addresses[network]
      if (address === undefined) return []
      const port = found.get(address)
      const others = [...hosts.values()].flatMap(({ value }) =>
        value.id !== self && value.addresses[network] !== undefined ? [value.id] : [],
      )
      return {
        ...{ network, address },
        ...(port ? { port } : {}),
        peers: others.toSorted().map((host) => {
          const silentMs = view?.peers[host]?.ageMs[network]
          return { host, ...(silentMs === undefined ? {} : { silentMs }) }
        }),
      }
    })
  }

  /** Of every host that is up. One that gives no answer to the question itself is left out. */
  async measure(): Promise<readonly MeasuredWay[]> {
    const { self, state, ping: send = ping } = this.#options
    const { hosts, statuses } = state()
    const own = hosts.get(self)?.value.addresses ?? {}
    const others = [...hosts.values()]
      .map(({ value }) => value)
      .filter(({ id }) => id !== self && statuses.get(id)?.value.state === 'online')
    const left = NETWORK_ROLES.flatMap((network) =>
      others.flatMap(({ id: to, addresses }) => {
        const [from, there] = [own[network], addresses[network]]
        return from === undefined || there === undefined ? [] : [{ network, to, from, there }]
      }),
    )
    const ways: MeasuredWay[] = []
    const work = async () => {
      for (let way = left.shift(); way; way = left.shift()) {
        const { network, to, from, there } = way
        const measured = await send(from, there)
        if (measured.ok) ways.push({ network, to, ...measured.value })
      }
    }
    await Promise.all(Array.from({ length: PINGS_AT_A_TIME }, work))
    return ways.toSorted((a, b) => byName(a.network, b.network) || byName(a.to, b.to))
  }
}

const byName = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

async function linuxPorts(): Promise<ReadonlyMap<string, HostPort>> {
  const told = await runProgram('ip', ['-json', '-details', '-statistics', 'address', 'show'], IP_MS)
  return told.ok ? portsByAddress(told.value.output, speedOf) : new Map()
}

function speedOf(port: string): number | undefined {
  const megabits = linkSpeedMbits(port)
  return megabits === undefined ? undefined : megabits * 1e6
}

/** Of all hosts, each asked for its own. */
export class ClusterNetworks {
  readonly #asked: AskedHostsOptions
  readonly #own: HostNetworks

  constructor(asked: AskedHostsOptions, own: HostNetworks) {
    this.#asked = asked
    this.#own = own
  }

  of(hosts: readonly HostId[]): Promise<Gathered<readonly HostNetwork[]>> {
    return gather(this.#asked, hosts, { name: 'host-networks', input: {}, own: () => this.#own.look() })
  }

  measured(hosts: readonly HostId[]): Promise<Gathered<readonly MeasuredWay[]>> {
    const question = { name: 'host-ways', input: {}, own: () => this.#own.measure(), timeoutMs: MEASURING_MS }
    return gather(this.#asked, hosts, question)
  }
}

/** What other hosts may ask of this one. */
export function networkCalls(
  own: HostNetworks,
): Readonly<Record<string, (input: unknown) => Promise<Result<unknown>>>> {
  return { 'host-networks': async () => ok(await own.look()), 'host-ways': async () => ok(await own.measure()) }
}
