/** What a host has, as its kernel and the system's own tools tell it: for whoever is asked where things are to go. */
import { cpus, hostname, totalmem } from 'node:os'
import type { SetupPort, SetupView } from '@stead/api/endpoints/set-up.ts'
import { linkSpeedMbits } from '../network/link-speed.ts'
import { runProgram } from '../process/run-program.ts'

const LOOK_MS = 10_000

export async function hostFacts(): Promise<Omit<SetupView, 'work'>> {
  const [ports, disks, fileSystems] = await Promise.all([portsOfHost(), disksOfHost(), fileSystemsOfHost()])
  return { host: ownName(), cpuCount: cpus().length, memoryBytes: totalmem(), ports, disks, fileSystems }
}

/** The first label of the host's name. */
export function ownName(): string {
  return hostname().split('.')[0]?.toLowerCase() ?? ''
}

interface IpLink {
  readonly ifname: string
  readonly flags: readonly string[]
  readonly mtu: number
  readonly address?: string
  readonly master?: string
  readonly link_type: string
  readonly linkinfo?: { readonly info_kind?: string }
  readonly addr_info: readonly { readonly family: string; readonly local: string; readonly prefixlen: number }[]
}

/** Without loopback. Empty when `ip` cannot say. */
export async function portsOfHost(): Promise<SetupPort[]> {
  const links = (await jsonOf<readonly IpLink[]>('ip', ['-json', '-details', 'address', 'show'])) ?? []
  return links
    .filter(({ link_type: type }) => type !== 'loopback')
    .map((link) => ({
      name: link.ifname,
      kind: kindOf(link),
      up: link.flags.includes('LOWER_UP'),
      speedMbits: linkSpeedMbits(link.ifname) ?? null,
      mtu: link.mtu,
      mac: link.address ?? '',
      addresses: link.addr_info
        .filter(({ family }) => family === 'inet')
        .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      members: links.filter(({ master }) => master === link.ifname).map(({ ifname }) => ifname),
    }))
}

function kindOf({ link_type: type, linkinfo }: IpLink): SetupPort['kind'] {
  const kind = linkinfo?.info_kind
  if (kind === 'bond' || kind === 'bridge' || kind === 'vlan') return kind
  // A veth is the cable of a host of the lab.
  return type === 'ether' && (kind === undefined || kind === 'veth') ? 'ethernet' : 'other'
}

interface BlockDevice {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly model: string | null
  readonly rota: boolean
  readonly mountpoints: readonly (string | null)[]
  readonly children?: readonly BlockDevice[]
}

async function disksOfHost(): Promise<SetupView['disks']> {
  const columns = 'NAME,TYPE,SIZE,MODEL,ROTA,MOUNTPOINTS'
  const listed = await jsonOf<{ readonly blockdevices: readonly BlockDevice[] }>('lsblk', [
    ...['--json', '--bytes', '--output', columns],
  ])
  return (listed?.blockdevices ?? [])
    .filter(({ type, size }) => type === 'disk' && size > 0)
    .map((disk) => ({
      name: disk.name,
      model: disk.model?.trim() ?? '',
      sizeBytes: disk.size,
      rotational: disk.rota,
      usedBy: [...new Set(mountsOf(disk))],
    }))
}

function mountsOf({ mountpoints, children = [] }: BlockDevice): string[] {
  return [...mountpoints.filter((path) => path !== null), ...children.flatMap(mountsOf)]
}

interface Mount {
  readonly target: string
  readonly source: string
  readonly fstype: string
  readonly size: number | null
  readonly avail: number | null
}

async function fileSystemsOfHost(): Promise<SetupView['fileSystems']> {
  const listed = await jsonOf<{ readonly filesystems: readonly Mount[] }>('findmnt', [
    ...['--json', '--bytes', '--real', '--list', '--output', 'TARGET,SOURCE,FSTYPE,SIZE,AVAIL'],
  ])
  return (listed?.filesystems ?? [])
    .filter(({ size }) => size !== null && size > 0)
    .map(({ target, source, fstype, size, avail }) => ({
      ...{ path: target, device: source, type: fstype },
      ...{ sizeBytes: size ?? 0, freeBytes: avail ?? 0 },
    }))
}

async function jsonOf<T>(command: string, args: readonly string[]): Promise<T | undefined> {
  const answer = await runProgram(command, args, LOOK_MS)
  return answer.ok ? (JSON.parse(answer.value.output) as T) : undefined
}
