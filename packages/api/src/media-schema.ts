/** CD drives, boot order and cloud-init, as the store keeps them and as requests name them. */
import { z } from 'zod'
import { blobIdSchema } from './blob-id-schema.ts'
import { secret } from './secrets.ts'

const TEXT_LENGTH_MAX = 512
/** As much as the store likes in one record, with room for the rest of the guest. */
const USER_DATA_LENGTH_MAX = 64 * 1024

export const bootOrderSchema = z
  .array(z.enum(['disk', 'cdrom']))
  .min(1)
  .max(2)
  .refine((order) => new Set(order).size === order.length, 'names a device twice')
  .describe('Tried in this order; `disk`, then `cdrom`, when absent')

const address = z.union([z.ipv4(), z.ipv6()], 'must be an IP address')
const network = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('dhcp') }),
  z.strictObject({
    kind: z.literal('static'),
    address: z
      .union([z.cidrv4(), z.cidrv6()], 'must be an IP address with its prefix, such as 192.0.2.10/24')
      .describe('With the prefix: 192.0.2.10/24'),
    gateway: address.exactOptional(),
    nameservers: z.array(address).max(8).exactOptional(),
  }),
])

export const cloudInitSettingsSchema = z.strictObject({
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'must be a user name: lower-case letters, digits, dashes')
    .exactOptional()
    .describe("A user who may become root without a password; absent: the image's default user"),
  sshKeys: z
    .array(
      z
        .string()
        .max(8192)
        .regex(/^(?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+(?: [^\n\r]*)?$/, 'must be a public key as in authorized_keys'),
    )
    .max(32)
    .exactOptional()
    .describe('Public keys with which this user may log in'),
  hostname: z
    .string()
    .max(253)
    .regex(/^(?!-)[A-Za-z0-9.-]+$/, 'must be a host name')
    .exactOptional()
    .describe("The guest's name when absent"),
  network: network.exactOptional().describe("Of the first network card; the image's own way when absent"),
  userData: secret(
    z
      .string()
      .max(USER_DATA_LENGTH_MAX, 'must not be longer than 64 KiB')
      .exactOptional()
      .describe('Taken as it is, `#cloud-config` or a script; what it says wins'),
  ),
})

export const mediaSchema = z.object({
  cdrom: z
    .object({
      medium: z
        .object({ blob: blobIdSchema, name: z.string().max(TEXT_LENGTH_MAX).describe("The image's name") })
        .exactOptional(),
    })
    .exactOptional()
    .describe('The drive for installation media; it may be empty'),
  bootOrder: bootOrderSchema.exactOptional(),
  cloudInit: z
    .object({ settings: cloudInitSettingsSchema, blob: blobIdSchema.describe('The seed image that they make') })
    .exactOptional(),
})
