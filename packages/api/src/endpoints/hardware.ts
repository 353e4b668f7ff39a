/** Disks and network cards of a guest, which come and go while it runs. */
import { z } from 'zod'
import { cardAddressesSchema, mountPathSchema } from '../container-records.ts'
import { endpoint } from '../endpoint.ts'
import { diskLimitsSchema, nicLimitsSchema } from '../hardware-records.ts'
import { started, warnings } from './answers.ts'
import { newDiskSchema } from './guests.ts'
import { guestParams } from './parameters.ts'

const diskParams = guestParams.extend({ disk: z.string().describe("The disk's name (`disk1`) or its volume's id") })
const nicParams = guestParams.extend({
  nic: z
    .string()
    .regex(/^[0-3]$/, 'must be the number of a network card, 0 to 3')
    .describe('The number of the network card'),
})

const diskLimits = z.strictObject(diskLimitsSchema.shape).describe('Replaces all limits; empty: none')
const nicLimits = z.strictObject(nicLimitsSchema.shape).describe('Replaces all limits; empty: none')

const mountPath = mountPathSchema.optional().describe('Of a container: where it is mounted')
const existingDisk = z.strictObject({
  volume: z.string().describe('The id of a volume that a guest has given back'),
  mountPath,
})

export const addDiskBody = z.union([newDiskSchema.extend({ limits: diskLimits.optional(), mountPath }), existingDisk])
export type AddDisk = z.output<typeof addDiskBody>

export const setDiskBody = z.strictObject({ limits: diskLimits })
export type SetDisk = z.output<typeof setDiskBody>

export const addNicBody = z.strictObject({
  mac: z
    .string()
    .regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/, 'must be six bytes in lower case with colons, not a group address')
    .optional()
    .describe('Its hardware address; one that follows from the guest when absent'),
  limits: nicLimits.optional(),
  ...cardAddressesSchema,
})
export type AddNic = z.output<typeof addNicBody>

export const setNicBody = z.strictObject({
  limits: nicLimits.optional().describe('Replaces all limits; empty: none; absent: as they are'),
  ...cardAddressesSchema,
})
export type SetNic = z.output<typeof setNicBody>

const startedWithWarnings = started.extend({ warnings })

export const HARDWARE_ENDPOINTS = {
  'guest.disk-add': endpoint({
    id: 'guest.disk-add',
    method: 'POST',
    path: '/v1/guests/{guest}/disks',
    summary: 'Add a disk to a guest, which may be running',
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    body: addDiskBody,
    response: startedWithWarnings,
    status: 202,
    long: true,
  }),
  'guest.disk-remove': endpoint({
    id: 'guest.disk-remove',
    method: 'DELETE',
    path: '/v1/guests/{guest}/disks/{disk}',
    summary: 'Take a disk from a guest, which may be running',
    permission: 'guest.configure',
    on: 'guest',
    params: diskParams,
    query: z.strictObject({
      volume: z.enum(['keep', 'delete']).optional().describe('What becomes of its volume; default: keep'),
    }),
    response: started,
    status: 202,
    long: true,
  }),
  'guest.disk-set': endpoint({
    id: 'guest.disk-set',
    method: 'PATCH',
    path: '/v1/guests/{guest}/disks/{disk}',
    summary: 'Limit what a guest takes of a disk, live',
    permission: 'guest.configure',
    on: 'guest',
    params: diskParams,
    body: setDiskBody,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.nic-add': endpoint({
    id: 'guest.nic-add',
    method: 'POST',
    path: '/v1/guests/{guest}/nics',
    summary: 'Add a network card to a guest, which may be running',
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    body: addNicBody,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.nic-remove': endpoint({
    id: 'guest.nic-remove',
    method: 'DELETE',
    path: '/v1/guests/{guest}/nics/{nic}',
    summary: 'Take a network card from a guest, which may be running',
    permission: 'guest.configure',
    on: 'guest',
    params: nicParams,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.nic-set': endpoint({
    id: 'guest.nic-set',
    method: 'PATCH',
    path: '/v1/guests/{guest}/nics/{nic}',
    summary: "Limit a network card or change a container's addresses, live",
    permission: 'guest.configure',
    on: 'guest',
    params: nicParams,
    body: setNicBody,
    response: started,
    status: 202,
    long: true,
  }),
  'volume.resize': endpoint({
    id: 'volume.resize',
    method: 'PATCH',
    path: '/v1/volumes/{volume}',
    summary: 'Make a volume larger, also while its guest runs',
    permission: 'guest.configure',
    on: 'volume',
    params: z.strictObject({ volume: z.string().describe("The volume's id") }),
    body: z.strictObject({
      sizeBytes: z
        .number()
        .int()
        .positive()
        .multipleOf(4096, 'must be a multiple of 4096')
        .describe('The size that it is to have, in bytes; a multiple of 4096'),
    }),
    response: started,
    status: 202,
    long: true,
  }),
  'volume.delete': endpoint({
    id: 'volume.delete',
    method: 'DELETE',
    path: '/v1/volumes/{volume}',
    summary: 'Delete a volume that belongs to no guest any more',
    permission: 'guest.delete',
    on: 'volume',
    params: z.strictObject({ volume: z.string().describe("The volume's id") }),
    response: started,
    status: 202,
    long: true,
  }),
} as const
