/** "What if?" as the API tells it: names in place of ids, null in place of nothing. */
import { z } from 'zod'
import type { Foresight } from '@stead/core/foresight/foresee.ts'
import type { SingleFailure } from '@stead/core/foresight/supposition.ts'
import type { Figures } from '@stead/core/foresight/figures.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { GuestId } from '@stead/core/model/ids.ts'

const hostName = z.string().describe("A host's name")
const milliseconds = (what: string) => z.number().describe(`${what}, ms`)

/** A single thing that fails; of hosts also several at once. */
const failingThingSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('host-down'), hosts: z.array(hostName).min(1).max(100) }),
  z.strictObject({
    kind: z.literal('network-down'),
    network: z.enum(NETWORK_ROLES),
    host: hostName.exactOptional().describe('Only the cable of this host; the whole switch when absent'),
  }),
  z.strictObject({ kind: z.literal('domain-down'), domain: z.string().describe('`rack`'), name: z.string() }),
  z.strictObject({ kind: z.literal('storage-down'), host: hostName }),
])
export type FailingThing = z.output<typeof failingThingSchema>

/** What somebody supposes. Changes have `--what-if` of their own. */
export const suppositionSchema = z.discriminatedUnion('kind', [
  ...failingThingSchema.options,
  z.strictObject({ kind: z.literal('drain'), host: hostName }),
  z.strictObject({ kind: z.literal('remove-host'), host: hostName }),
  z.strictObject({
    kind: z.literal('add-guest'),
    name: z.string(),
    memoryBytes: z.number().int().min(1),
    cpus: z.number().int().min(1),
    priority: z.number().int().exactOptional(),
  }),
])
export type SuppositionRequest = z.output<typeof suppositionSchema>

const candidate = z.object({
  host: hostName,
  chosen: z.boolean(),
  rejectedBecause: z.string(),
  merits: z.array(z.string()),
})

export const foresightSchema = z.object({
  supposition: z.string(),
  summary: z.string().describe('In one sentence'),
  canDecide: z.boolean().describe('False: too few voters of the store are left to decide anything'),
  guests: z.array(
    z.object({
      name: z.string(),
      from: hostName.nullable().describe('Where it runs now; null: nowhere'),
      to: hostName.nullable().describe('Where it runs in the end; null: nowhere'),
      downMs: milliseconds('How long it does not run in all; null: it stays down').nullable(),
      interruptions: z.number(),
      why: z.string(),
      candidates: z.array(candidate),
    }),
  ),
  data: z.array(
    z.object({
      guest: z.string(),
      volume: z.string(),
      copiesBefore: z.number().describe('Current copies that can be reached'),
      copiesAfter: z.number(),
      risk: z.enum(['last-copy', 'out-of-reach']),
      text: z.string(),
    }),
  ),
  breaches: z
    .array(z.object({ lost: z.array(hostName), text: z.string(), unplaced: z.array(z.string()) }))
    .describe('What one more loss would mean that it does not mean today'),
  timeline: z.array(z.object({ atMs: milliseconds('Since the supposed moment'), text: z.string() })),
  figures: z.object({
    lossMs: milliseconds('From the plug to the record that a host is lost'),
    startMs: milliseconds("From a grant to the guest's start, median of this cluster"),
    stopMs: milliseconds('From the request to the end of a guest, median of this cluster'),
    pauseMs: milliseconds('How long a guest stands still for a lost replica, median of this cluster'),
    samples: z.object({ start: z.number(), stop: z.number(), pause: z.number() }).describe('0: an assumption'),
  }),
})
export type ForesightView = z.output<typeof foresightSchema>

/** The answer to a request with `WHAT_IF_HEADER`. */
export const foreseenSchema = foresightSchema.extend({
  token: z.string().describe('For `FORESEEN_HEADER`: stands for this outcome, times left out'),
})
export type ForeseenView = z.output<typeof foreseenSchema>

const singleFailureViewSchema = foresightSchema.extend({
  suppose: failingThingSchema.describe('What fails, as `POST /v1/what-if` takes it'),
  sums: z
    .object({
      down: z.number().describe('Guests that are interrupted'),
      stayDown: z.number().describe('Guests that stay down'),
      longestDownMs: z.number().describe('The longest that a guest is down which comes back'),
      lastCopies: z.number().describe('Volumes that have one current copy left'),
      outOfReach: z.number().describe('Volumes of which no current copy can be reached'),
    })
    .describe('All of it in numbers'),
})
export type SingleFailureView = z.output<typeof singleFailureViewSchema>

export const foresightsSchema = z.object({
  items: z.array(singleFailureViewSchema),
  skipped: z.number().describe('Suppositions left out because they touch nothing'),
})

export function foresightView(foresight: Foresight, state: ClusterState): ForesightView {
  const nameOf = (guest: GuestId) => state.guests.get(guest)?.value.name ?? guest
  const figures: Figures = foresight.figures
  return {
    supposition: foresight.supposition,
    summary: foresight.summary,
    canDecide: foresight.canDecide,
    guests: foresight.guests.map(({ name, from, to, downMs, interruptions, why, candidates }) => ({
      name,
      from: from ?? null,
      to: to ?? null,
      downMs: downMs === undefined ? null : Math.round(downMs),
      interruptions,
      why,
      candidates: candidates.map((one) => ({ ...one, merits: [...one.merits] })),
    })),
    data: foresight.data.map((one) => ({ ...one })),
    breaches: foresight.breaches.map(({ lost, text, unplaced }) => ({
      lost: [...lost],
      text,
      unplaced: unplaced.map(({ guest }) => nameOf(guest)),
    })),
    timeline: foresight.timeline.map(({ atMs, text }) => ({ atMs: Math.round(atMs), text })),
    figures: {
      lossMs: Math.round(figures.lossMs),
      startMs: Math.round(figures.startMs),
      stopMs: Math.round(figures.stopMs),
      pauseMs: Math.round(figures.pauseMs),
      samples: { ...figures.samples },
    },
  }
}

export interface ForeseenFailure extends Foresight {
  readonly suppose: SingleFailure
}

/** `brief`: the sums stand for the guests, data and breaches, of which thousands may be. */
export function singleFailureView(
  failure: ForeseenFailure,
  state: ClusterState,
  { brief }: { readonly brief: boolean } = { brief: false },
): SingleFailureView {
  const { guests, data } = failure
  const sums = {
    down: guests.filter(({ interruptions }) => interruptions > 0).length,
    stayDown: guests.filter(({ downMs }) => downMs === undefined).length,
    longestDownMs: Math.round(guests.reduce((longest, { downMs = 0 }) => Math.max(longest, downMs), 0)),
    lastCopies: data.filter(({ risk }) => risk === 'last-copy').length,
    outOfReach: data.filter(({ risk }) => risk === 'out-of-reach').length,
  }
  const shown = brief ? { ...failure, guests: [], data: [], breaches: [], timeline: [] } : failure
  return { ...foresightView(shown, state), suppose: failure.suppose as FailingThing, sums }
}
