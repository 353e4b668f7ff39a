/** Options of `ct create` and `ct set`, and how a container's settings are shown. */
import type { Command } from 'commander'
import type { GuestView } from '@stead/api/views.ts'
import { parseLimit, simpleLimits } from '@stead/core/model/container-limits.ts'
import { CONTAINER_PRESETS, presetParts } from '@stead/core/model/container-presets.ts'
import { CONTAINER_RESOURCE_NAMES } from '@stead/core/model/container-resources.ts'
import { FailureError } from '@stead/core/errors.ts'
import { badArgument, parseCount, parseSize } from '../quantities.ts'

type Limits = NonNullable<GuestView['container']>['limits']

/** An empty list cannot be typed. */
const NOTHING = 'nothing'
/** For options that may be given several times. */
export const repeated = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

export function addContainerOptions(command: Command): Command {
  return command
    .option('--address <address>', 'with prefix length, 192.0.2.10/24; may be repeated', repeated)
    .option('--gateway <address>', 'where its default route leads; may be repeated, once for IPv6', repeated)
    .option('--hostname <name>', 'its name inside; its name in the cluster when absent')
    .option('--nameserver <address>', `a DNS server; may be repeated; ${NOTHING} for none`, repeated)
    .option('--search <domain>', `where short names are looked up; may be repeated; ${NOTHING} for none`, repeated)
    .option(
      '--preset <name>',
      `a ready set of limits: ${Object.keys(CONTAINER_PRESETS).join(', ')}; the other options come on top`,
    )
    .option('--processes <n>', 'how many processes and threads it may have (numproc)')
    .option('--swap <size>', 'how much of it may be swapped out (swappages)')
    .option(
      '--limit <name=barrier:limit>',
      'a limit, named as in OpenVZ: numfile=1024:2048, cpuunits=500, kmemsize=unlimited; may be repeated',
      repeated,
    )
}

export interface ContainerOptions {
  readonly address?: readonly string[]
  readonly gateway?: readonly string[]
  readonly hostname?: string
  readonly nameserver?: readonly string[]
  readonly search?: readonly string[]
  readonly preset?: string
  readonly processes?: string
  readonly swap?: string
  readonly limit?: readonly string[]
}

/** What was said; what was not is left out. */
export function containerFrom(options: ContainerOptions) {
  const limits = limitsFrom(options)
  return {
    ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
    ...(options.address === undefined ? {} : { addresses: listOf(options.address) }),
    ...(options.gateway === undefined ? {} : { gateways: listOf(options.gateway) }),
    ...(options.nameserver === undefined ? {} : { nameservers: listOf(options.nameserver) }),
    ...(options.search === undefined ? {} : { searchDomains: listOf(options.search) }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  }
}

function listOf(texts: readonly string[]): string[] {
  return texts.filter((text) => text !== NOTHING)
}

function limitsFrom({ preset, processes, swap, limit = [] }: ContainerOptions): Limits {
  const limits: { -readonly [Name in keyof Limits]: Limits[Name] } = {
    ...(preset === undefined ? {} : presetOf(preset).limits),
    ...simpleLimits({
      ...(processes === undefined ? {} : { processes: parseCount(processes, '--processes') }),
      ...(swap === undefined ? {} : { swapBytes: parseSize(swap, '--swap') }),
    }),
  }
  for (const text of limit) {
    const parsed = parseLimit(text)
    if (!parsed.ok) throw new FailureError(parsed.error)
    const { resource, ...bounds } = parsed.value
    limits[resource] = bounds
  }
  return limits
}

export function presetOf(name: string) {
  const preset = presetParts(name)
  if (!preset)
    throw badArgument(
      `--preset: there is no preset \`${name}\``,
      `Write one of ${Object.keys(CONTAINER_PRESETS).join(', ')}.`,
    )
  return preset
}

/** Of a container that has others: its limits are those of the preset, and no more. */
export function liftedBy(preset: string): Limits {
  const { limits } = presetOf(preset)
  const lifted = CONTAINER_RESOURCE_NAMES.filter((name) => limits[name] === undefined)
  return Object.fromEntries(lifted.map((name) => [name, {}]))
}

/** For `ct show`. */
export function containerFields(container: NonNullable<GuestView['container']>): [string, string | null][] {
  const { template, hostname, privileged, nesting, idBase, nameservers, searchDomains, limits, mounts } = container
  const more = [...(privileged ? ['privileged'] : [`ids from ${idBase}`]), ...(nesting ? ['nesting'] : [])]
  return [
    ['template', template],
    ['hostname', hostname],
    ['isolation', more.join(', ')],
    ['name servers', nameservers.join(', ')],
    ['search', searchDomains.join(', ')],
    [
      'limits',
      Object.entries(limits)
        .map(([name, bounds]) => limitText(name, bounds))
        .join(', '),
    ],
    ['mounts', mounts.map(({ volume, path }) => `${volume} on ${path}`).join(', ')],
  ]
}

function limitText(name: string, { barrier, limit }: { readonly barrier?: number; readonly limit?: number }): string {
  return `${name}=${[barrier, limit].filter((value) => value !== undefined).join(':')}`
}
