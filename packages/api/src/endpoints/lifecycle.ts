/** Probes and schedules of guests. What is a plain setting of a guest is in `guest.set`. */
import { PROBE_DEFAULTS } from '@stead/core/model/probe.ts'
import { SCHEDULED_ACTIONS } from '@stead/core/model/schedule.ts'
import { parsePattern } from '@stead/core/text-pattern.ts'
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { cronSchema, probeCheckSchema, probeSchema, scheduleSchema, timeZoneSchema } from '../lifecycle-records.ts'
import { strictly } from '../strictly.ts'
import { guestViewSchema, scheduleViewSchema } from '../views.ts'
import { dnsLabel, guestParams, noContent } from './parameters.ts'

const { shape: probe } = probeSchema

export const setProbeBody = z.strictObject({
  check: strictly(probeCheckSchema).superRefine((check, context) => {
    const pattern = check.kind === 'console' && check.as === 'pattern' ? parsePattern(check.find) : undefined
    if (pattern?.ok === false) context.addIssue({ code: 'custom', path: ['find'], message: pattern.error.message })
  }),
  initialDelayMs: probe.initialDelayMs.default(PROBE_DEFAULTS.initialDelayMs),
  periodMs: probe.periodMs.default(PROBE_DEFAULTS.periodMs),
  timeoutMs: probe.timeoutMs.default(PROBE_DEFAULTS.timeoutMs),
  successThreshold: probe.successThreshold.default(PROBE_DEFAULTS.successThreshold),
  failureThreshold: probe.failureThreshold.default(PROBE_DEFAULTS.failureThreshold),
  onFailure: probe.onFailure.default(PROBE_DEFAULTS.onFailure),
})

export const addScheduleBody = z.strictObject({
  name: dnsLabel.describe('A DNS label, unique among the schedules of the guest'),
  action: z.enum(SCHEDULED_ACTIONS),
  cron: cronSchema,
  timeZone: timeZoneSchema.default('UTC'),
  missed: z
    .enum(['run', 'skip'])
    .default('skip')
    .describe('A moment at which nobody could act: `run` does it once, late; `skip` leaves it out'),
  keep: scheduleSchema.shape.keep
    .unwrap()
    .optional()
    .describe('Of `snapshot`: how many of its own snapshots stay; 7 when absent'),
  memory: z.boolean().optional().describe("Of `snapshot`: with the guest's memory, if it runs then"),
})

const scheduleParams = guestParams.extend({ schedule: z.string().describe("The schedule's name") })

export const LIFECYCLE_ENDPOINTS = {
  'probe.set': endpoint({
    id: 'probe.set',
    method: 'PUT',
    path: '/v1/guests/{guest}/probe',
    summary: 'Set how it is found out whether a guest is ready',
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    body: setProbeBody,
    response: guestViewSchema,
    status: 200,
  }),
  'probe.remove': endpoint({
    id: 'probe.remove',
    method: 'DELETE',
    path: '/v1/guests/{guest}/probe',
    summary: "Remove a guest's probe",
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    response: noContent,
    status: 204,
  }),
  'schedule.list': endpoint({
    id: 'schedule.list',
    method: 'GET',
    path: '/v1/schedules',
    summary: 'List what is done to guests at set times',
    permission: 'guest.view',
    on: 'guests',
    query: z.strictObject({ guest: z.string().optional().describe('Only of this guest: its name or id') }),
    response: z.object({ items: z.array(scheduleViewSchema) }),
    listedBy: ['guest', 'name'],
    status: 200,
  }),
  'schedule.add': endpoint({
    id: 'schedule.add',
    method: 'POST',
    path: '/v1/guests/{guest}/schedules',
    summary: 'Have something done to a guest at set times',
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    body: addScheduleBody,
    response: scheduleViewSchema,
    status: 201,
  }),
  'schedule.remove': endpoint({
    id: 'schedule.remove',
    method: 'DELETE',
    path: '/v1/guests/{guest}/schedules/{schedule}',
    summary: 'Remove a schedule of a guest',
    permission: 'guest.configure',
    on: 'guest',
    params: scheduleParams,
    response: noContent,
    status: 204,
  }),
} as const
