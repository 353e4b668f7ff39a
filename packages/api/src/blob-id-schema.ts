import type { BlobId } from '@stead/core/model/ids.ts'
import { z } from 'zod'

/** A brand exists only for the compiler, so the schema is the plain string's. */
export const blobIdSchema = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'must be `sha256:` and 64 hexadecimal digits')
  .describe('`sha256:` and 64 hexadecimal digits: the content of a file') as unknown as z.ZodType<BlobId, string>
