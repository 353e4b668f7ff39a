/** A container's network as the kernel has it, seen from the host. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { gratuitousArp } from '../network/lan-address.ts'
import { runProgram } from '../process/run-program.ts'
import type { LxcNic } from './lxc-spec.ts'

const TIMEOUT_MS = 5_000

export interface ContainerAddress {
  readonly interface: string
  readonly mac: string
  /** With prefix length. */
  readonly address: string
}

interface IpLink {
  readonly ifname: string
  readonly address?: string
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[]
}

/** Without those of the loopback and of the link. `init` is the host's pid of the container's init. */
export async function addressesOf(init: number): Promise<Result<readonly ContainerAddress[]>> {
  const [program = '', ...inside] = insideOf(init)
  const shown = await runProgram(program, [...inside, 'ip', '-json', 'address'], TIMEOUT_MS)
  if (!shown.ok)
    return fail(
      failure('hypervisor', 'The addresses of the container cannot be read', {
        cause: shown.error,
        hint: 'It may have ended just now',
      }),
    )
  const links = JSON.parse(shown.value.output) as readonly IpLink[]
  return ok(
    links
      .filter(({ flags }) => !flags.includes('LOOPBACK'))
      .flatMap((link) =>
        link.addr_info
          .filter(({ scope }) => scope !== 'link')
          .map(({ local, prefixlen }) => ({
            interface: link.ifname,
            mac: link.address ?? '',
            address: `${local}/${prefixlen}`,
          })),
      ),
  )
}

/** The host's end of an earlier run's pair: the kernel removes it some time after the last process of its namespace. */
export async function removeLink(hostEnd: string): Promise<Result<void>> {
  const isThere = () => existsSync(`/sys/class/net/${hostEnd}`)
  if (!isThere()) return ok()
  const removed = await runProgram('ip', ['link', 'delete', hostEnd], TIMEOUT_MS)
  if (removed.ok || !isThere()) return ok()
  return fail(
    failure('conflict', `The network card ${hostEnd} of an earlier run cannot be removed`, { cause: removed.error }),
  )
}

/** A card of a container that runs; its host's end is on the bridge, its addresses are set. Nothing is left of a failure. */
export async function addLink(init: number, link: LxcNic): Promise<Result<void>> {
  const { hostEnd, name, mac, bridge, mtu } = link
  const cleared = await removeLink(hostEnd)
  if (!cleared.ok) return cleared
  const pair = ['link', 'add', hostEnd, 'mtu', `${mtu}`, 'type', 'veth', 'peer', 'name', name, 'address', mac]
  const made = await ip(
    [],
    [
      [...pair, 'mtu', `${mtu}`, 'netns', `${init}`],
      ['link', 'set', hostEnd, 'master', bridge, 'up'],
    ],
  )
  const up = ['link', 'set', name, 'up']
  const given = made.ok ? await ip(insideOf(init), [up, ...addressCommands(link), ...routeCommands(link)]) : made
  if (!given.ok) await removeLink(hostEnd)
  return given
}

/**
 * Of a container that has come with its processes: its cards are heard from now on, and say where they are, or what is sent to it
 * would go on to where it was until it sends something itself.
 */
export async function raiseLinks(
  nativeDir: string,
  init: number,
  links: readonly { readonly hostEnd: string; readonly name: string }[],
): Promise<Result<void>> {
  const up = await ip(
    [],
    links.map(({ hostEnd }) => ['link', 'set', hostEnd, 'up']),
  )
  if (!up.ok) return up
  const found = await addressesOf(init)
  if (!found.ok) return found
  const [program = '', ...inside] = insideOf(init)
  for (const { name } of links) {
    const own = found.value.filter((each) => each.interface === name && !each.address.includes(':'))
    const frames = own.map(({ mac, address }) => `${gratuitousArp(mac, address.split('/')[0] ?? '')}\n`)
    // One that is lost is followed by the first that its programs send.
    const args = [...inside, join(nativeDir, 'frame-port'), '--send', name]
    if (frames.length > 0) await runProgram(program, args, TIMEOUT_MS, { input: frames.join('') })
  }
  return ok()
}

/** From what it was given to what it is to have; what the container has given itself is left alone. */
export async function changeAddresses(init: number, before: LxcNic, after: LxcNic): Promise<Result<void>> {
  const inside = insideOf(init)
  const lost = before.gateways.filter((gateway) => !after.gateways.includes(gateway))
  const gone = before.addresses.filter((address) => !after.addresses.includes(address))
  for (const command of [
    ...lost.map((gateway) => [family(gateway), 'route', 'del', 'default', 'via', gateway, 'dev', after.name]),
    ...gone.map((address) => ['address', 'del', address, 'dev', after.name]),
  ]) {
    const removed = await ip(inside, [command])
    // With the first of a network go those that came after it; and the container may have taken them away itself.
    if (!removed.ok && !/Address not found|Cannot assign|No such process/.test(removed.error.message)) return removed
  }
  // The kernel takes routes away with the address that they were reached by: so all are said again.
  return ip(inside, [...addressCommands(after), ...routeCommands(after)])
}

function addressCommands({ name, addresses }: LxcNic): readonly string[][] {
  return addresses.map((address) => {
    const broadcast = family(address) === '-4' ? ['broadcast', '+'] : []
    return ['address', 'replace', address, ...broadcast, 'dev', name]
  })
}

/** `onlink`: a gateway may be outside the addresses' networks, which LXC allows too. */
function routeCommands({ name, gateways }: LxcNic): readonly string[][] {
  return gateways.map((to) => [family(to), 'route', 'replace', 'default', 'via', to, 'dev', name, 'onlink'])
}

function family(address: string): '-4' | '-6' {
  return address.includes(':') ? '-6' : '-4'
}

/** The host's own `ip` in the container's network: nothing of the container is executed. */
function insideOf(init: number): readonly string[] {
  return ['nsenter', `--net=/proc/${init}/ns/net`]
}

/** One after the other, until one fails. */
async function ip(before: readonly string[], commands: readonly (readonly string[])[]): Promise<Result<void>> {
  for (const command of commands) {
    const [program = 'ip', ...args] = [...before, 'ip', ...command]
    const done = await runProgram(program, args, TIMEOUT_MS)
    if (!done.ok) return done
  }
  return ok()
}
