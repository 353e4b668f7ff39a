/** Schemas of the records that tell where a guest runs and what it does there. */
import { z } from 'zod'
import { hardwareObservationSchema } from './hardware-records.ts'
import { readinessSchema } from './lifecycle-records.ts'
import { epoch, guestId, hostId, processorLevelSchema, wallMs, wholeNumber } from './record-values.ts'

export const migrationReportSchema = z.object({
  to: hostId,
  since: wallMs('When it began'),
  totalBytes: wholeNumber(),
  transferredBytes: wholeNumber(),
  remainingBytes: wholeNumber(),
  dirtyBytesPerSecond: z.number().describe('How much memory the guest changes'),
  bandwidthBytesPerSecond: z.number(),
  throttlePercent: z.number().describe('How far the guest is slowed down so that the copy converges'),
  expectedDowntimeMs: z.number(),
})

export const observationSchema = z.object({
  guest: guestId,
  host: hostId,
  epoch,
  phase: z.enum(['starting', 'running', 'paused', 'stopping', 'stopped', 'failed']),
  reason: z.string().describe('Why it is paused or failed; empty otherwise'),
  since: wallMs('When the phase began'),
  failures: wholeNumber().describe("How often it ended by itself since the last user's start, in a row"),
  failedOn: z.array(hostId).exactOptional().describe('Hosts on which that was'),
  hardware: hardwareObservationSchema.exactOptional(),
  bootId: z.string().exactOptional().describe("The host's boot in which this was seen"),
  readiness: readinessSchema.exactOptional().describe('What the probe of a running guest has found'),
  migration: migrationReportSchema.exactOptional().describe('How far its move to another host has come'),
})

export const grantSchema = z.object({
  guest: guestId,
  epoch,
  host: hostId,
  state: z.enum(['held', 'recalled', 'released']),
  clean: z.boolean().describe('Once released: the last write was flushed to every in-sync replica before'),
  movesTo: hostId.exactOptional().describe('Where it is meant to run next'),
  returns: z.boolean().exactOptional().describe('Ended because the host reboots, to which the guest returns'),
  handover: z
    .object({
      to: hostId,
      epoch,
      reason: z.string(),
      since: wallMs('When it was begun'),
      postCopy: z.literal(true).exactOptional().describe('It may go on there before all of its memory has come'),
    })
    .exactOptional()
    .describe("The guest's memory is on its way to another host"),
  processorLevel: processorLevelSchema.exactOptional().describe('The processor that the guest sees: x86-64-v1 to v4'),
  spentEpoch: epoch.exactOptional().describe('Promised to a hand-over that came to nothing'),
  cameFrom: hostId.exactOptional().describe('The host from which it came over without a boot'),
  memoryOn: hostId.exactOptional().describe('Where the rest of its memory still is, after a switch to post-copy'),
  failedHandover: z
    .object({ to: hostId, reason: z.string(), at: wallMs('When it failed'), times: wholeNumber() })
    .exactOptional()
    .describe('The last try to move it live, when that failed'),
  grantedAt: wallMs('When it was granted'),
  reason: z.string(),
})
