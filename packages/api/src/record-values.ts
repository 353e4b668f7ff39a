/** The values that records are made of. */
import type { GuestId, HostId, OperationId, VolumeId } from '@stead/core/model/ids.ts'
import { z } from 'zod'

/** A brand exists only for the compiler, so the schema is the plain string's. */
export function id<T extends string>(description: string): z.ZodType<T, string> {
  return z.string().min(1).describe(description) as unknown as z.ZodType<T, string>
}
export const wholeNumber = () => z.number().int().min(0)
export const bytes = (what: string) => wholeNumber().describe(`${what}, in bytes`)
export const wallMs = (what: string) => z.number().describe(`${what}, milliseconds since 1970, UTC`)

export const hostId = id<HostId>("A host's name, a DNS label")
export const guestId = id<GuestId>("A guest's UUID")
export const volumeId = id<VolumeId>("A volume's UUID without dashes")
export const operationId = id<OperationId>("An operation's UUID")
export const epoch = wholeNumber().describe('Grows each time a run of the guest is granted to a host')
export const processorLevelSchema = z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)])
