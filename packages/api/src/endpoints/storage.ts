import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { blobIdSchema } from '../blob-id-schema.ts'
import { imageSchema, uploadFormatSchema } from '../image-records.ts'
import { operationViewSchema, volumeViewSchema } from '../views.ts'
import { dnsLabel, forProject, newImageProject, noContent, queryInteger } from './parameters.ts'

const blobParams = z.strictObject({ digest: blobIdSchema })
const imageParams = z.strictObject({ image: z.string().describe("The image's name") })

export const STORAGE_ENDPOINTS = {
  'volume.list': endpoint({
    id: 'volume.list',
    method: 'GET',
    path: '/v1/volumes',
    summary: 'List the volumes',
    permission: 'volume.view',
    on: 'volumes',
    response: z.object({ items: z.array(volumeViewSchema) }),
    listedBy: ['id'],
    status: 200,
  }),
  'volume.show': endpoint({
    id: 'volume.show',
    method: 'GET',
    path: '/v1/volumes/{volume}',
    summary: 'Show a volume',
    permission: 'volume.view',
    on: 'volume',
    params: z.strictObject({ volume: z.string().describe("The volume's id") }),
    response: volumeViewSchema,
    status: 200,
  }),
  'blob.put': endpoint({
    id: 'blob.put',
    whatIf: 'harmless',
    method: 'PUT',
    path: '/v1/blobs/{digest}',
    summary: 'Upload a file under the digest of its content',
    permission: 'image.manage',
    on: 'new-image',
    params: blobParams,
    query: z.strictObject({
      project: forProject,
      offset: queryInteger(0, Number.MAX_SAFE_INTEGER)
        .optional()
        .describe('Where the content goes on after an upload that broke off; see `blob.received`'),
    }),
    upload: true,
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'blob.received': endpoint({
    id: 'blob.received',
    method: 'GET',
    path: '/v1/blobs/{digest}/received',
    summary: 'Say how much of a file has arrived at this host',
    permission: 'image.view',
    on: 'new-image',
    params: blobParams,
    query: z.strictObject({ project: forProject }),
    response: z.object({ receivedBytes: z.number().int().describe('Bytes from the beginning; 0 when none') }),
    status: 200,
  }),
  'blob.stat': endpoint({
    id: 'blob.stat',
    method: 'HEAD',
    path: '/v1/blobs/{digest}',
    summary: 'Say whether a file is present',
    permission: 'image.view',
    on: 'new-image',
    params: blobParams,
    query: z.strictObject({ project: forProject }),
    response: noContent,
    status: 204,
  }),
  'image.list': endpoint({
    id: 'image.list',
    method: 'GET',
    path: '/v1/images',
    summary: 'List the images',
    permission: 'image.view',
    on: 'images',
    response: z.object({
      items: z.array(imageSchema.extend({ revision: z.string().describe('Of the record; for If-Match') })),
    }),
    listedBy: ['name'],
    status: 200,
  }),
  'image.import': endpoint({
    id: 'image.import',
    whatIf: 'none',
    method: 'POST',
    path: '/v1/images',
    summary: 'Make a disk image of an uploaded file',
    permission: 'image.manage',
    on: 'new-image',
    body: z.strictObject({
      name: dnsLabel.describe('A DNS label, unique among the images'),
      blob: blobIdSchema,
      format: uploadFormatSchema.describe('What the file is; never guessed. All but `iso` become qcow2'),
      project: newImageProject,
    }),
    response: z.object({ image: z.string(), operation: operationViewSchema }),
    status: 202,
    long: true,
  }),
  'image.cancel-import': endpoint({
    id: 'image.cancel-import',
    whatIf: 'none',
    method: 'DELETE',
    path: '/v1/imports/{image}',
    summary: 'Call the import of an image off; nothing is left of it',
    permission: 'image.manage',
    on: 'import',
    params: z.strictObject({ image: z.string().describe('What the image would be called') }),
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'image.delete': endpoint({
    id: 'image.delete',
    whatIf: 'none',
    method: 'DELETE',
    path: '/v1/images/{image}',
    summary: 'Delete an image',
    permission: 'image.manage',
    on: 'image',
    params: imageParams,
    response: noContent,
    status: 204,
  }),
} as const
