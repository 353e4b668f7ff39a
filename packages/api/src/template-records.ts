/** What is known of the root file system of a container template, as it is kept and shown. */
import { z } from 'zod'
import { containerSystemSchema } from './container-records.ts'
import { bytes, wholeNumber } from './record-values.ts'

export const rootFactsSchema = z.object({
  system: containerSystemSchema,
  os: z.string().describe('As its `/etc/os-release` names it; empty when it does not say'),
  architecture: z.string().describe('As Debian names it: `amd64`; empty when its programs do not tell'),
  sourceDigest: z.string().describe('SHA-256 of the archive that it was made from'),
  signedBy: z.string().exactOptional().describe('The trusted key by which the archive was signed'),
  form: z
    .enum(['root', 'oci', 'stead-dump', 'openvz', 'proxmox'])
    .describe('What the archive was: of the files themselves, of layers, or a container saved by some system'),
  files: z.number().int(),
  contentBytes: bytes('Of all files together'),
  devicesLeftOut: z
    .object({ count: wholeNumber(), first: z.string() })
    .exactOptional()
    .describe('Devices that the archive held: how many, and the first of them'),
  process: z
    .object({
      environment: z.array(z.string()),
      folder: z.string().exactOptional(),
      user: z.string().exactOptional(),
    })
    .exactOptional()
    .describe("What an application's image says of its process"),
})
