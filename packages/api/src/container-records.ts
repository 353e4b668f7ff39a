/** What makes a guest a container: as records, requests and views have it. */
import { CONTAINER_RESOURCE_NAMES } from '@stead/core/model/container-resources.ts'
import { z } from 'zod'
import { volumeId } from './record-values.ts'

export const addressSchema = z
  .union([z.cidrv4(), z.cidrv6()], 'must be an address with prefix length, such as 192.0.2.10/24')
  .describe('An IP address with prefix length')
const plainAddress = z.union([z.ipv4(), z.ipv6()], 'must be an IP address')
const hostname = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/, 'must be a host name')
const nameservers = z.array(plainAddress).max(3).describe('IP addresses of its DNS servers')
const searchDomains = z.array(hostname).max(6).describe('Domains in which short names are looked up')
const gateways = z.array(plainAddress).max(2).describe('Where its default routes lead, one for each family')
const addresses = z.array(addressSchema).max(32)
export const mountPathSchema = z
  .string()
  .max(1_000)
  .regex(/^(\/[^/\0]+)+$/, 'must be an absolute path')
  .refine((path) => !path.split('/').some((part) => part === '..' || part === '.'), 'must not contain . or ..')

/** Of a container's network card, as parts of a request. */
export const cardAddressesSchema = {
  addresses: addresses.optional().describe('Of a container: the addresses that the card is to have'),
  gateways: gateways.optional().describe('Of a container: where its default routes lead, one for each family'),
}

export const containerLimitsSchema = z
  .partialRecord(
    z.enum(CONTAINER_RESOURCE_NAMES),
    z.object({
      barrier: z.number().nonnegative().exactOptional(),
      limit: z.number().nonnegative().exactOptional(),
    }),
  )
  .describe("By the resource's name, as in OpenVZ; absent: no limit")

export const containerSystemSchema = z.object({
  haltSignal: z.string().describe('What asks its init to shut down'),
  init: z.array(z.string()).readonly().exactOptional().describe('Command line of process 1; `/sbin/init` when absent'),
  process: z
    .object({
      environment: z.array(z.string()).readonly().describe('`NAME=value`'),
      folder: z.string().exactOptional(),
      uid: z.number().int().exactOptional().describe("root's when absent"),
      gid: z.number().int().exactOptional(),
    })
    .exactOptional()
    .describe("How process 1 of an application's image begins"),
})

export const containerSchema = z.object({
  template: z.string().describe('The image that its root was made from'),
  system: containerSystemSchema,
  idBase: z.number().int().describe('First of its 65,536 user and group ids on the hosts'),
  hostname: z.string().exactOptional(),
  nameservers: z.array(z.string()).exactOptional(),
  searchDomains: z.array(z.string()).exactOptional(),
  privileged: z.literal(true).exactOptional().describe("Its root is the host's root"),
  nesting: z.literal(true).exactOptional().describe('It may make containers itself'),
  limits: containerLimitsSchema.exactOptional(),
  mounts: z
    .array(z.object({ volume: volumeId, path: z.string() }))
    .exactOptional()
    .describe('Where its volumes after the first are mounted'),
})

/** `Host.containers`. */
export const containerHostSchema = z.object({
  lxc: z.string().describe('Version of LXC'),
  liveMove: z
    .object({ possible: z.boolean(), reason: z.string(), criu: z.string().exactOptional() })
    .exactOptional()
    .describe('What a trial dump and restore on its kernel has shown'),
})

/** Of a new container; its root is the first of `disks`. */
export const containerRequestSchema = z.strictObject({
  template: z.string().describe('Image of a root file system'),
  root: z
    .enum(['image', 'native'])
    .default('image')
    .describe(
      "`image`: on a disk that can be mirrored; `native`: a subvolume of one host's pool on btrfs, made in milliseconds, never mirrored: the container runs there only",
    ),
  hostname: hostname.optional().describe("The guest's name when absent"),
  addresses: addresses.default([]).describe('Of its network card'),
  gateways: gateways.default([]),
  nameservers: nameservers.default([]),
  searchDomains: searchDomains.default([]),
  privileged: z.boolean().default(false).describe("Its root is the host's root: for those you trust like the host"),
  nesting: z.boolean().default(false).describe('It may make containers itself; weakens what keeps it in'),
  limits: containerLimitsSchema.default({}),
  mounts: z.array(mountPathSchema).max(11).default([]).describe('Where the disks after the first are mounted'),
})

export const containerChangeSchema = z.strictObject({
  hostname: hostname.optional(),
  addresses: addresses.optional().describe('Replaces those of its first network card'),
  gateways: gateways.optional(),
  nameservers: nameservers.optional(),
  searchDomains: searchDomains.optional(),
  nesting: z.boolean().optional().describe('From its next start'),
  limits: containerLimitsSchema.optional().describe('Replaces those that are named; an empty one lifts a limit'),
})
export type ContainerChange = z.output<typeof containerChangeSchema>

export const containerViewSchema = z.object({
  template: z.string(),
  hostname: z.string(),
  privileged: z.boolean(),
  nesting: z.boolean(),
  idBase: z.number().int().describe('First of its 65,536 user and group ids on the hosts'),
  nameservers: z.array(z.string()),
  searchDomains: z.array(z.string()),
  limits: containerLimitsSchema,
  mounts: z.array(z.object({ volume: z.string(), path: z.string() })),
})
