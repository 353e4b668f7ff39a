/**
 * The lab's network namespaces: one switch per role, the client's, and one per running host. The machine's own
 * namespace gets no interface, address or route: every veth pair is born inside a lab namespace.
 */
import { readdirSync } from 'node:fs'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'
import { ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { isGone } from './control-group.ts'
import { runCommand } from './run-command.ts'
import {
  CLIENT_ADDRESS,
  CLIENT_NAME,
  LAN_BRIDGE,
  SWITCH_BRIDGE,
  hardwareAddress,
  hostPort,
  namespaceFile,
  namespaceName,
  switchName,
  switchPort,
  withPrefix,
} from './topology.ts'
import type { LabHostSpec } from './topology.ts'

/** A dead link is given up after about 7 s instead of 15 minutes, and an address answers only on its own port. */
const SETTINGS = {
  'ipv6/conf/all/disable_ipv6': '1',
  'ipv6/conf/default/disable_ipv6': '1',
  'ipv4/tcp_retries2': '4',
  'ipv4/tcp_syn_retries': '3',
  // BBR, a common default, paces each segment by a timer: measured, twice the processor time of a mirrored write.
  'ipv4/tcp_congestion_control': 'reno',
  'ipv4/conf/all/arp_ignore': '1',
  'ipv4/conf/all/arp_announce': '2',
  'ipv4/conf/all/arp_accept': '1',
  'ipv4/conf/default/arp_accept': '1',
}

/** Of the storage networks: a 4 KiB write and its header fit into one frame. */
const STORAGE_MTU = 9000

/** Names (without the lab's prefix) of the lab's namespaces that exist, from the kernel's list alone. */
export function namespacesOf(lab: string): string[] {
  const prefix = namespaceName(lab, '')
  try {
    return readdirSync('/run/netns')
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
  } catch (cause) {
    if (isGone(cause)) return []
    throw cause
  }
}

export async function createSwitches(lab: string): Promise<Result<void>> {
  for (const role of NETWORK_ROLES) {
    const mac = hardwareAddress(lab, `switch-${role}`, SWITCH_BRIDGE)
    const made = await createNamespace(lab, switchName(role), [
      `link add ${SWITCH_BRIDGE} address ${mac} type bridge stp_state 0 forward_delay 0`,
      `link set ${SWITCH_BRIDGE} up`,
    ])
    if (!made.ok) return made
  }
  const port = hostPort('lan')
  const client = await createNamespace(lab, CLIENT_NAME, [
    plugCable(lab, CLIENT_NAME, 'lan'),
    `address add ${withPrefix('lan', CLIENT_ADDRESS)} dev ${port}`,
    `link set ${port} up`,
  ])
  return client.ok ? connect(lab, 'lan', CLIENT_NAME) : client
}

/** The host's namespace with its three ports; the LAN address sits on a bridge so that guests' taps can join it. */
export async function createHostNamespace(lab: string, host: LabHostSpec): Promise<Result<void>> {
  const lines = [
    `link add ${LAN_BRIDGE} address ${hardwareAddress(lab, host.id, LAN_BRIDGE)} type bridge stp_state 0 forward_delay 0`,
  ]
  for (const role of NETWORK_ROLES) {
    const port = hostPort(role)
    const holder = role === 'lan' ? LAN_BRIDGE : port
    lines.push(plugCable(lab, host.id, role))
    if (role === 'lan') lines.push(`link set ${port} master ${LAN_BRIDGE}`)
    lines.push(`address add ${withPrefix(role, host.addresses[role])} dev ${holder}`, `link set ${port} up`)
  }
  lines.push(`link set ${LAN_BRIDGE} up`)
  const made = await createNamespace(lab, host.id, lines)
  if (!made.ok) return made
  const connected = await Promise.all(NETWORK_ROLES.map((role) => connect(lab, role, host.id)))
  return connected.find((result) => !result.ok) ?? ok()
}

/** A namespace, its cables and whatever was made in it (taps, rules). Nothing happens when it does not exist. */
export async function destroyNamespace(lab: string, name: string): Promise<Result<void>> {
  const existing = namespacesOf(lab)
  if (!existing.includes(name)) return ok()
  const switches = NETWORK_ROLES.filter((role) => existing.includes(switchName(role)))
  if (!switches.some((role) => switchName(role) === name)) {
    // The kernel takes a namespace apart in the background; taking the cables out first frees their names at once.
    const unplugged = await Promise.all(switches.map((role) => unplugCable(lab, name, role)))
    const failed = unplugged.find((result) => !result.ok)
    if (failed !== undefined) return failed
  }
  const removed = await runCommand('ip', ['netns', 'del', namespaceName(lab, name)])
  return removed.ok ? ok() : removed
}

/** All namespaces of the lab: those with cables first, then the switches. */
export async function destroyAllNamespaces(lab: string): Promise<Result<void>> {
  const switches: readonly string[] = NETWORK_ROLES.map(switchName)
  const plugged = namespacesOf(lab).filter((name) => !switches.includes(name))
  for (const names of [plugged, switches]) {
    const destroyed = await Promise.all(names.map((name) => destroyNamespace(lab, name)))
    const failed = destroyed.find((result) => !result.ok)
    if (failed !== undefined) return failed
  }
  return ok()
}

async function unplugCable(lab: string, name: string, role: NetworkRole): Promise<Result<void>> {
  const removed = await runCommand('ip', ['-n', namespaceName(lab, switchName(role)), 'link', 'del', switchPort(name)])
  // An interrupted `lab up` may not have come as far as this cable.
  return removed.ok || removed.error.message.includes('Cannot find device') ? ok() : removed
}

/** The veth pair is made inside `name`, and its far end at once inside the switch. */
function plugCable(lab: string, name: string, role: NetworkRole): string {
  const mtu = role === 'lan' ? '' : `mtu ${STORAGE_MTU} `
  const near = `${hostPort(role)} ${mtu}address ${hardwareAddress(lab, name, hostPort(role))}`
  const far = `${switchPort(name)} ${mtu}address ${hardwareAddress(lab, name, `${role}-switch`)}`
  return `link add ${near} type veth peer name ${far} netns ${namespaceName(lab, switchName(role))}`
}

async function connect(lab: string, role: NetworkRole, name: string): Promise<Result<void>> {
  const port = switchPort(name)
  const lines = [`link set ${port} master ${SWITCH_BRIDGE}`, `link set ${port} up`]
  return batch(namespaceName(lab, switchName(role)), lines)
}

async function createNamespace(lab: string, name: string, lines: readonly string[]): Promise<Result<void>> {
  const full = namespaceName(lab, name)
  const added = await runCommand('ip', ['netns', 'add', full])
  if (!added.ok) return added
  const script = Object.entries(SETTINGS).map(
    ([key, value]) => `[ ! -e /proc/sys/net/${key} ] || echo ${value} > /proc/sys/net/${key}`,
  )
  const settings = await runCommand('nsenter', [`--net=${namespaceFile(lab, name)}`, 'sh', '-e'], {
    input: script.join('\n'),
  })
  if (!settings.ok) return settings
  return batch(full, ['link set lo up', ...lines])
}

async function batch(namespace: string, lines: readonly string[]): Promise<Result<void>> {
  const done = await runCommand('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` })
  return done.ok ? ok() : done
}
