/** Fields that several endpoints take. */
import { z } from 'zod'

export const MEBIBYTE = 1024 * 1024

/** RFC 1123 label: guests' names become DNS names. */
export const dnsLabel = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'must be a DNS label: 1 to 63 lower-case letters, digits and inner dashes',
  )

/** A query string has only text. */
export const queryBoolean = z.preprocess(
  (value) => (value === 'true' ? true : value === 'false' ? false : value),
  z.boolean('must be true or false'),
)
export const queryInteger = (least: number, most: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value),
    z.number('must be a whole number').int().min(least).max(most),
  )

export const hostParams = z.strictObject({ host: z.string().describe("The host's name") })
export const guestParams = z.strictObject({ guest: z.string().describe("The guest's name or id") })
/** Of an image or a template. */
export const newImageProject = z.string().max(63).optional().describe("Whose it is to be; the cluster's when absent")
/** Of a file. */
export const forProject = z
  .string()
  .max(63)
  .optional()
  .describe('For an image of this project; else for one of the cluster')
export const noContent = z.undefined().describe('No content')
