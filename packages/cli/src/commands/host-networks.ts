/** `host networks`: the ports of all hosts on the networks between them, and who hears whom. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostNetworkView, NetworkWayView } from '@stead/api/endpoints/networks.ts'
import { formatTable } from '../output.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

export function addHostNetworks(hosts: Command, terminal: Terminal): void {
  hosts
    .command('networks')
    .description(ENDPOINTS['network.list'].summary)
    .option('--measure', 'how long packets take from host to host and how many get lost, measured now')
    .action(
      action(terminal, async (session, _, { measure }) => {
        const client = await session.client()
        if (measure === true) return printWays(session, valueOf(await client.call(ENDPOINTS['network.measure'])))
        const answer = valueOf(await client.call(ENDPOINTS['network.list']))
        session.warn(answer.silent.map((host) => `${host} did not answer: its side is missing`))
        session.print(answer, () =>
          formatTable(answer.items, [
            { title: 'HOST', of: ({ host }) => host },
            { title: 'NETWORK', of: ({ network }) => network },
            { title: 'ADDRESS', of: ({ address }) => address },
            { title: 'PORT', of: ({ port }) => port && `${port.name} (${portKind(port)})` },
            { title: 'LINK', of: ({ port }) => port?.state ?? 'no port' },
            { title: 'SPEED', of: ({ port }) => speedText(port?.speedBitsPerSecond ?? null) },
            { title: 'MTU', of: ({ port }) => port && String(port.mtuBytes) },
            { title: 'DOES NOT HEAR', of: ({ peers }) => unheard(peers) },
          ]),
        )
      }),
    )
}

interface Ways {
  readonly items: readonly NetworkWayView[]
  readonly silent: readonly string[]
}

function printWays(session: Session, answer: Ways): void {
  const ms = (time: number | null) => (time === null ? null : `${time} ms`)
  session.warn(answer.silent.map((host) => `${host} did not answer: its side is missing`))
  session.print(answer, () =>
    formatTable(answer.items, [
      { title: 'NETWORK', of: ({ network }) => network },
      { title: 'FROM', of: ({ from }) => from },
      { title: 'TO', of: ({ to }) => to },
      { title: 'LATENCY', of: ({ latencyMs }) => ms(latencyMs) },
      { title: 'JITTER', of: ({ jitterMs }) => ms(jitterMs) },
      { title: 'LOST', of: ({ lostShare }) => `${Math.round(lostShare * 100)} %` },
    ]),
  )
}

function portKind({ kind, vlan, members }: NonNullable<HostNetworkView['port']>): string {
  const name = vlan === null ? kind : `VLAN ${vlan}`
  const over = members.map((member) => (member.state === 'down' ? `${member.name} without link` : member.name))
  return over.length === 0 ? name : `${name} over ${over.join(', ')}`
}

function speedText(bitsPerSecond: number | null): string | null {
  return bitsPerSecond === null ? null : `${bitsPerSecond / 1e9} Gbit/s`
}

function unheard(peers: HostNetworkView['peers']): string | null {
  const missing = peers.filter(({ state }) => state !== 'heard')
  return missing.map(({ host, state }) => (state === 'down' ? `${host} (down)` : host)).join(', ') || null
}
