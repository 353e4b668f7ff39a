/** The schemas of `core/model/lifecycle.ts` and what belongs to it: part of a guest's record, and of requests. */
import { CRON_LENGTH_MAX, parseCron } from '@stead/core/calendar/cron.ts'
import { isTimeZone } from '@stead/core/calendar/time-zone.ts'
import { LIFECYCLE_LIMITS, PROTECTIONS } from '@stead/core/model/lifecycle.ts'
import { canBeGuests } from '@stead/core/model/probe.ts'
import { SCHEDULED_ACTIONS, type ScheduleId } from '@stead/core/model/schedule.ts'
import { SNAPSHOTS_MAX } from '@stead/core/model/snapshot.ts'
import { PATTERN_LENGTH_MAX } from '@stead/core/text-pattern.ts'
import { z } from 'zod'

const wallMs = (what: string) => z.number().describe(`${what}, milliseconds since 1970, UTC`)

export const tagSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/,
    'must be a tag: 1 to 63 lower-case letters and digits, with dots, dashes and underscores inside',
  )

export const tagsSchema = z
  .array(tagSchema)
  .max(LIFECYCLE_LIMITS.tags)
  .refine((tags) => new Set(tags).size === tags.length, 'must name each tag once')
  .describe('Words to find guests by')

export const notesSchema = z
  .string()
  .max(LIFECYCLE_LIMITS.notesLength)
  // oxlint-disable-next-line no-control-regex -- what must not reach a terminal
  .refine((text) => !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(text), 'must hold no control characters')
  .describe('Markdown')

export const protectedFromSchema = z
  .array(z.enum(PROTECTIONS))
  .max(PROTECTIONS.length)
  .describe('What must not be done to the guest; `stop` keeps it from being deleted as well')

const address = z
  .union([z.ipv4(), z.ipv6()], 'must be an IP address')
  .refine(canBeGuests, 'must be an address of the guest')
  .exactOptional()
  .describe("The guest's IP address, as its host reaches it; the first that the agent inside it tells when absent")
const port = z.number().int().min(1).max(65_535)
const printable = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    // oxlint-disable-next-line no-control-regex -- no line ends, nothing that moves a cursor
    .refine((text) => !/[\u0000-\u001f\u007f-\u009f]/.test(text), 'must hold no control characters')

export const probeCheckSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('tcp'), port, address }).describe('A connection is taken'),
  z
    .object({
      kind: z.literal('http'),
      port,
      address,
      path: z.string().regex(/^\/[\u0021-\u007e]{0,999}$/, 'must be a path: `/` and up to 999 characters of a URL'),
      status: z.number().int().min(100).max(599).exactOptional().describe('Any from 200 to 399 when absent'),
      body: printable(1_000).exactOptional().describe('What the body must contain'),
    })
    .describe('A request is answered as it should be'),
  z.object({ kind: z.literal('agent') }).describe('The agent inside the guest answers'),
  z
    .object({
      kind: z.literal('console'),
      find: printable(PATTERN_LENGTH_MAX),
      as: z.enum(['text', 'pattern']).describe('`pattern`: a regular expression without references and looking ahead'),
    })
    .describe('A line of its serial console, since it booted, contains this'),
])

const HOUR_MS = 3_600_000

export const probeSchema = z.object({
  check: probeCheckSchema,
  initialDelayMs: z.number().int().min(0).max(HOUR_MS).describe('From the start of the run to the first try, ms'),
  periodMs: z.number().int().min(500).max(HOUR_MS).describe('From the beginning of one try to that of the next, ms'),
  timeoutMs: z.number().int().min(50).max(60_000).describe('A try that takes longer has failed, ms'),
  successThreshold: z.number().int().min(1).max(100).describe('Successes in a row that make it ready'),
  failureThreshold: z.number().int().min(1).max(100).describe('Failures in a row after which it is not ready any more'),
  onFailure: z
    .enum(['report', 'restart'])
    .describe('`restart`: a guest that was ready and is not any more is restarted; that run counts as failed'),
})

export const readinessSchema = z.object({
  ready: z.boolean(),
  since: wallMs('Since when it is so'),
  reason: z.string().describe('Why it is not ready; empty when it is'),
})

export const cronSchema = z
  .string()
  .max(CRON_LENGTH_MAX)
  .superRefine((text, context) => {
    const cron = parseCron(text)
    if (!cron.ok) context.addIssue({ code: 'custom', message: cron.error.message })
  })
  .describe('Minute, hour, day of month, month, day of week: `30 3 * * sun`')

export const timeZoneSchema = z
  .string()
  .max(64)
  .refine(isTimeZone, 'must be a time zone such as Europe/Warsaw or UTC')
  .describe('IANA name of the time zone in which the expression is meant')

const scheduleId = z.string().min(1).describe('Unique among the schedules of the guest') as unknown as z.ZodType<
  ScheduleId,
  string
>

export const scheduleSchema = z.object({
  id: scheduleId,
  action: z.enum(SCHEDULED_ACTIONS),
  cron: z.string(),
  timeZone: z.string(),
  missed: z.enum(['run', 'skip']).describe('A moment at which nobody could act: `run` does it once, late'),
  keep: z.number().int().min(1).max(SNAPSHOTS_MAX).exactOptional().describe('Of `snapshot`: how many of its own stay'),
  memory: z.boolean().exactOptional().describe("Of `snapshot`: with the guest's memory, where that can be kept"),
  nextAt: wallMs('The moment that comes next').exactOptional(),
  lastAt: wallMs('When the coordinator last dealt with it').exactOptional(),
  lastOutcome: z.string().exactOptional().describe('`done`, or why nothing was done'),
})

export const lifecycleSchema = z.object({
  autostart: z
    .boolean()
    .exactOptional()
    .describe('Of a guest that HA ignores: started again where it ran when its host has booted'),
  protectedFrom: protectedFromSchema.exactOptional(),
  tags: tagsSchema.exactOptional(),
  notes: notesSchema.exactOptional(),
  probe: probeSchema.exactOptional(),
  schedules: z.array(scheduleSchema).max(LIFECYCLE_LIMITS.schedules).exactOptional(),
})
