/** What lies in a guest's CD drive, its boot order, and what cloud-init tells it. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { bootOrderSchema, cloudInitSettingsSchema } from '../media-schema.ts'
import { started } from './answers.ts'
import { guestParams } from './parameters.ts'

const cdrom = z
  .string()
  .nullable()
  .describe('The image (of kind `iso`) that lies in the CD drive; null: the drive is empty')

export const mediaRequestSchema = z.strictObject({
  cdrom: cdrom.optional(),
  bootOrder: bootOrderSchema.optional(),
  cloudInit: cloudInitSettingsSchema.optional().describe('What cloud-init tells the guest at its first boot'),
})
export type MediaRequest = z.output<typeof mediaRequestSchema>

export const MEDIA_ENDPOINTS = {
  'guest.media': endpoint({
    id: 'guest.media',
    method: 'PATCH',
    path: '/v1/guests/{guest}/media',
    summary: "Change a guest's CD, boot order or cloud-init settings",
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    body: mediaRequestSchema,
    response: started,
    status: 202,
    long: true,
  }),
} as const
