/** What browsers say for security keys, as WebAuthn writes it in JSON. What is not known here is left out. */
import { z } from 'zod'

const bytes = z
  .string()
  .max(20_000)
  .regex(/^[\w-]*$/, 'must be base64url')
const common = {
  id: bytes,
  rawId: bytes,
  type: z.literal('public-key'),
  authenticatorAttachment: z.string().max(50).nullish(),
  clientExtensionResults: z.object({}).default({}),
}

/** Of `navigator.credentials.create`. */
export const addedKey = z.object({
  ...common,
  response: z.object({
    ...{ clientDataJSON: bytes, attestationObject: bytes },
    transports: z.array(z.string().max(50)).max(10).optional(),
  }),
})

/** Of `navigator.credentials.get`. */
export const answerOfKey = z.object({
  ...common,
  response: z.object({
    ...{ clientDataJSON: bytes, authenticatorData: bytes, signature: bytes },
    userHandle: bytes.nullish(),
  }),
})

const sealed = z.string().max(2_000).describe('What came with the options')
export const shownKey = z.strictObject({ response: answerOfKey, sealed })

export const keyOptions = z.object({
  options: z.record(z.string(), z.unknown()).describe('For `navigator.credentials`, as WebAuthn writes them in JSON'),
  sealed: z.string().describe('To be sent with the answer'),
})

export const keyViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  site: z.string().describe('The name of the host under which it can be used'),
  createdAt: z.string(),
  usedAt: z.string().nullable(),
})
export type KeyView = z.output<typeof keyViewSchema>
