/** Templates of containers. Those of VMs are guests: `templates.ts`. */
import { z } from 'zod'
import { blobIdSchema } from '../blob-id-schema.ts'
import { endpoint } from '../endpoint.ts'
import { bytes, wallMs } from '../record-values.ts'
import { rootFactsSchema } from '../template-records.ts'
import { operationViewSchema } from '../views.ts'
import { newImageProject, noContent } from './parameters.ts'

const WORD_LENGTH_MAX = 4096
const WORDS_MAX = 64
const SIGNATURE_LENGTH_MAX = 8192

const templateName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 lower-case letters, digits, inner dots and inner dashes',
  )
const templateVersion = z
  .string()
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    'must be 1 to 63 letters, digits, inner dots, dashes and underscores',
  )
const templateParams = z.strictObject({
  template: z.string().describe('`NAME`, which is its newest version, or `NAME@VERSION`'),
})

export const containerTemplateViewSchema = rootFactsSchema.extend({
  name: z.string(),
  version: z.string(),
  newest: z.boolean().describe('The one that the name alone means'),
  blob: blobIdSchema.describe('The image of its file system'),
  imageBytes: bytes('Size of that image; the least size of a container of it'),
  createdAt: wallMs('When it was imported'),
  revision: z.string().describe('Of the record; for If-Match'),
})

export const CONTAINER_TEMPLATE_ENDPOINTS = {
  'template.list': endpoint({
    id: 'template.list',
    method: 'GET',
    path: '/v1/templates',
    summary: 'List the templates of containers',
    permission: 'image.view',
    on: 'images',
    response: z.object({ items: z.array(containerTemplateViewSchema) }),
    listedBy: ['name', 'version'],
    status: 200,
  }),
  'template.show': endpoint({
    id: 'template.show',
    method: 'GET',
    path: '/v1/templates/{template}',
    summary: 'Show a template of containers',
    permission: 'image.view',
    on: 'image',
    params: templateParams,
    response: containerTemplateViewSchema,
    status: 200,
  }),
  'template.import': endpoint({
    id: 'template.import',
    whatIf: 'none',
    method: 'POST',
    path: '/v1/templates',
    summary: 'Make a template of containers of an uploaded archive',
    permission: 'image.manage',
    on: 'new-image',
    body: z.strictObject({
      name: templateName,
      project: newImageProject,
      version: templateVersion.optional().describe('The day of the import when absent'),
      blob: blobIdSchema.describe(
        'A tar (plain, gzip, xz or zstd) of a root file system, an image of an application (`docker save`, OCI), or the dump of a container',
      ),
      init: z
        .array(z.string().min(1).max(WORD_LENGTH_MAX))
        .min(1)
        .max(WORDS_MAX)
        .optional()
        .describe('The first process, where it is none of /sbin/init, /etc/init, /bin/init'),
      haltSignal: z
        .string()
        .regex(/^SIG[A-Z0-9]+([+-]\d{1,2})?$/, 'must be the name of a signal, as SIGPWR or SIGRTMIN+3')
        .optional()
        .describe('On which that process shuts the system down; known for systemd, BusyBox, runit and OpenRC'),
      signature: z
        .string()
        .max(SIGNATURE_LENGTH_MAX)
        .optional()
        .describe('Of the file, as `ssh-keygen -Y sign -n stead-template` writes it'),
    }),
    response: z.object({
      template: z.string().describe('`NAME@VERSION`, as it will be called'),
      operation: operationViewSchema,
    }),
    status: 202,
    long: true,
  }),
  'template.delete': endpoint({
    id: 'template.delete',
    whatIf: 'none',
    method: 'DELETE',
    path: '/v1/templates/{template}',
    summary: 'Delete one version of a template of containers',
    permission: 'image.manage',
    on: 'image',
    params: templateParams,
    response: noContent,
    status: 204,
  }),
} as const
