/** Guests made from guests: templates and clones; and disks as files. */
import { z } from 'zod'
import { blobIdSchema } from '../blob-id-schema.ts'
import { endpoint } from '../endpoint.ts'
import { operationViewSchema } from '../views.ts'
import { acceptBreach, started, warnings } from './answers.ts'
import { dnsLabel, guestParams, noContent } from './parameters.ts'

/** The file may have to be fetched from another host first. */
const FETCH_ANSWER_MS = 1_200_000

export const TEMPLATE_ENDPOINTS = {
  'guest.template': endpoint({
    id: 'guest.template',
    whatIf: 'none',
    method: 'POST',
    path: '/v1/guests/{guest}/template',
    summary: 'Make a stopped guest a template, from which others are cloned',
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.clone': endpoint({
    id: 'guest.clone',
    whatIf: 'none',
    method: 'POST',
    path: '/v1/guests/{guest}/clones',
    summary: 'Create a guest like a template, a stopped guest, or any container with a native root',
    permission: 'guest.create',
    on: 'clone',
    params: guestParams,
    body: z.strictObject({
      name: dnsLabel.describe('A DNS label, unique in the cluster'),
      project: z.string().max(63).optional().describe('Whose it is to be; as the other one when absent'),
      linked: z.boolean().default(false).describe('Share the blocks of the disks instead of copying them'),
      host: z.string().optional().describe('Where it should run; a preference'),
      start: z.boolean().default(false).describe('Start it once its disks exist'),
      acceptBreach,
    }),
    response: z.object({
      guest: z.object({ id: z.string(), name: z.string() }),
      warnings,
      operation: operationViewSchema,
    }),
    status: 202,
    long: true,
  }),
  'guest.cancel-copy': endpoint({
    id: 'guest.cancel-copy',
    whatIf: 'none',
    method: 'DELETE',
    path: '/v1/guests/{guest}/copy',
    summary: 'Call off the copying of disks by which a guest becomes a template, or a clone; the clone is deleted',
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'volume.capture': endpoint({
    id: 'volume.capture',
    whatIf: 'none',
    method: 'POST',
    path: '/v1/volumes/{volume}/capture',
    summary: 'Copy the disk of a stopped guest into a qcow2 file, to be fetched by the digest that the operation tells',
    permission: 'image.manage',
    on: 'volume',
    params: z.strictObject({ volume: z.string().describe("The volume's id") }),
    response: started,
    status: 202,
    long: true,
  }),
  'volume.cancel-capture': endpoint({
    id: 'volume.cancel-capture',
    whatIf: 'none',
    method: 'DELETE',
    path: '/v1/volumes/{volume}/capture',
    summary: 'Call the copying of a disk off; nothing is left of it',
    permission: 'image.manage',
    on: 'volume',
    params: z.strictObject({ volume: z.string().describe("The volume's id") }),
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'blob.get': endpoint({
    id: 'blob.get',
    method: 'GET',
    path: '/v1/blobs/{digest}',
    summary: 'Fetch a file by the digest of its content',
    permission: 'image.manage',
    on: 'cluster',
    params: z.strictObject({ digest: blobIdSchema }),
    response: z.string().describe("The file's bytes"),
    streams: 'text',
    status: 200,
    answerWithinMs: FETCH_ANSWER_MS,
  }),
} as const
