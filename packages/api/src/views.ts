/** What the API shows: the responses' schemas. Fields are stable; new ones may be added. */
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import { diskLimitsSchema, nicLimitsSchema, pendingChangeSchema } from './hardware-records.ts'
import { containerHostSchema, containerViewSchema } from './container-records.ts'
import { z } from 'zod'
import { bootOrderSchema } from './media-schema.ts'
import { notesSchema, probeSchema, protectedFromSchema, scheduleSchema, tagsSchema } from './lifecycle-records.ts'
import { hostDevicesSchema, hostHugePagesSchema, platformViewSchema } from './platform-records.ts'
import {
  clusterPolicySchema,
  decisionSchema,
  displaySchema,
  eventSchema,
  haSchema,
  operationSchema,
} from './records.ts'
import { rootCopyPolicySchema, rootCopyViewSchema } from './root-copy-records.ts'

const revision = z.string().describe("The store's revision of the record, decimal; also sent as ETag")

export const protectionSchema = z.object({
  level: z
    .enum(['protected', 'degraded', 'unprotected', 'lost'])
    .describe(
      'protected: every replica current; degraded: fewer than wanted; unprotected: one copy only; lost: no current copy reachable',
    ),
  reason: z.string().describe('Empty when protected'),
})

export const replicaViewSchema = z.object({
  host: z.string(),
  pool: z.string(),
  state: z.enum(['in-sync', 'stale', 'syncing']),
  lagBytes: z.number().nullable().describe('What it lacks, in bytes; 0 when in-sync, null when not known now'),
  since: z.string().nullable().describe('ISO 8601: since when it is not in-sync; null when it is'),
  reason: z.string().describe('Why it is not in-sync; empty when it is'),
  redirected: z
    .enum(NETWORK_ROLES)
    .exactOptional()
    .describe('Its guest reaches it by this network, the one for storage being cut between the two hosts'),
})

export const volumeViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  guest: z.string().describe("The guest's name"),
  guestId: z.string(),
  attachment: z
    .enum(['attached', 'joining', 'leaving', 'leaving-for-good', 'detached'])
    .describe('`detached`: kept, of no guest'),
  form: z
    .enum(['image', 'subvolume'])
    .describe("`image`: of a disk, which can be mirrored; `subvolume`: a folder of its pool's own file system"),
  sizeBytes: z.number().int(),
  growTo: z.number().int().exactOptional().describe('The size that it is about to get'),
  ready: z.boolean(),
  protection: protectionSchema,
  replicas: z.array(replicaViewSchema),
  copies: z.array(rootCopyViewSchema).describe('Of a native root: as it was at a moment, on other hosts'),
  move: z
    .object({ to: z.string().nullable(), from: z.string().nullable(), since: z.string(), message: z.string() })
    .nullable()
    .describe('A replica that comes (`to`), goes (`from`), or both; null when none does'),
  revision,
})
export type VolumeView = z.output<typeof volumeViewSchema>

export const guestStateSchema = z.enum([
  'creating',
  'stopped',
  'starting',
  'running',
  'paused',
  'stopping',
  'waiting',
  'unknown',
  'error',
  'deleting',
])

const moment = z.string().nullable().describe('ISO 8601, UTC')

export const scheduleViewSchema = scheduleSchema
  .pick({ action: true, cron: true, timeZone: true, missed: true })
  .extend({
    guest: z.string().describe("The guest's name"),
    name: z.string().describe('Unique among the schedules of the guest'),
    keep: z.number().int().nullable().describe('Of `snapshot`: how many of its own snapshots stay'),
    memory: z.boolean().describe("Of `snapshot`: with the guest's memory, where that can be kept"),
    nextAt: moment.describe('ISO 8601, UTC: when it is due next; null when it never is'),
    lastAt: moment.describe('ISO 8601, UTC: when it was last dealt with; null when it never was'),
    lastOutcome: z.string().describe('`done`, or why nothing was done; empty when it never came'),
  })
export type ScheduleView = z.output<typeof scheduleViewSchema>

export const guestViewSchema = z.object({
  name: z.string(),
  id: z.string(),
  kind: z.enum(['vm', 'ct']).describe('A virtual machine or a container'),
  project: z.string().describe('Whose it is'),
  state: guestStateSchema,
  reason: z.string().describe('Why it is in this state; empty when there is nothing to say'),
  host: z.string().nullable().describe('Where it runs or waits; null when no host holds its grant'),
  preferredHost: z.string().nullable(),
  epoch: z.number().int().describe('0 when no run was ever granted'),
  ha: haSchema,
  priority: z.number().int().describe('Placed and recovered before those with less'),
  maxRestart: z.number().int().describe('Further tries on the host where a run failed'),
  maxRelocate: z.number().int().describe('Other hosts that are tried after that'),
  failback: z.boolean().describe('Whether it returns to the hosts that a rule prefers'),
  moveTo: z.string().nullable().describe('The host that it was asked to move to; null once it is there'),
  migration: z
    .object({
      to: z.string(),
      since: z.string(),
      totalBytes: z.number(),
      transferredBytes: z.number(),
      remainingBytes: z.number(),
      dirtyBytesPerSecond: z.number(),
      bandwidthBytesPerSecond: z.number(),
      throttlePercent: z.number(),
      expectedDowntimeMs: z.number(),
    })
    .nullable()
    .describe('How far its live move has come; null while it does not move'),
  protection: protectionSchema,
  memoryBytes: z.number().int(),
  cpus: z.number().int(),
  maximum: z
    .object({ memoryBytes: z.number().int().nullable(), cpus: z.number().int().nullable() })
    .describe('Up to what it can grow while it runs; null: it changes at its next start'),
  balloonBytes: z.number().int().nullable().describe('What its balloon should leave it of its memory; null: all'),
  now: z
    .object({ memoryBytes: z.number(), cpus: z.number().int(), balloonBytes: z.number().nullable() })
    .nullable()
    .describe('What it really has, once something of it has changed while it runs; null: what it was started with'),
  memoryUse: z
    .object({ totalBytes: z.number(), freeBytes: z.number(), availableBytes: z.number() })
    .nullable()
    .describe('As its balloon tells; null in lists and while it does not say'),
  boot: z.object({
    kind: z.enum(['kernel', 'disk', 'container']),
    kernel: z.string().exactOptional(),
    initrd: z.string().exactOptional(),
    append: z.string().exactOptional(),
  }),
  container: containerViewSchema.nullable().describe('Of a container; null of a VM'),
  platform: platformViewSchema,
  nics: z.array(
    z.object({
      slot: z.number().int().describe('Its number, which decides its place in the machine'),
      mac: z.string(),
      network: z.string(),
      limits: nicLimitsSchema.exactOptional(),
      addresses: z.array(z.string()).exactOptional(),
      gateways: z.array(z.string()).exactOptional(),
    }),
  ),
  pending: z.array(pendingChangeSchema).describe('Wishes that have not come true in the running guest'),
  agent: z.object({ execute: z.boolean().describe('Programs may be run in it from outside, by its agent') }),
  addresses: z
    .array(z.string())
    .nullable()
    .describe('As its agent tells them, with prefix length; null in lists and while it does not say'),
  display: displaySchema,
  media: z
    .object({
      cdrom: z
        .object({ image: z.string().nullable().describe('null: the drive is empty') })
        .nullable()
        .describe('null: it has no drive'),
      bootOrder: bootOrderSchema,
      cloudInit: z.boolean().describe('Whether cloud-init is told something'),
    })
    .describe('Of a virtual machine; of a container there is nothing in it'),
  template: z.boolean().describe('Others are cloned from it, and it never starts'),
  volumes: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      form: z.enum(['image', 'subvolume']),
      sizeBytes: z.number().int(),
      limits: diskLimitsSchema.exactOptional(),
      replicas: z.array(replicaViewSchema),
      copies: z.array(rootCopyViewSchema).describe('Of a native root: as it was at a moment, on other hosts'),
    }),
  ),
  rootCopy: rootCopyPolicySchema
    .extend({ to: z.string().nullable().describe('null: one that has room') })
    .nullable()
    .describe('Of a native root: the copy that is to follow it; null: none'),
  tags: tagsSchema,
  notes: notesSchema,
  autostart: z.boolean().describe('Of a guest that HA ignores: started again where it ran when its host has booted'),
  protectedFrom: protectedFromSchema,
  probe: probeSchema.nullable().describe('How it is found out whether it is ready; null: it is not'),
  readiness: z
    .object({
      ready: z.boolean(),
      since: z.string().describe('ISO 8601, UTC: since when it is so'),
      reason: z.string().describe('Why it is not ready; empty when it is'),
    })
    .nullable()
    .describe('What the probe has found; null when it has none or does not run'),
  schedules: z.array(scheduleViewSchema.omit({ guest: true })),
  createdAt: z.string().describe('ISO 8601, UTC'),
  revision,
})
export type GuestView = z.output<typeof guestViewSchema>

export const hostViewSchema = z.object({
  name: z.string(),
  state: z.enum(['online', 'suspected', 'lost', 'maintenance', 'draining', 'unknown']),
  reason: z.string().describe('Why it is in this state; empty when there is nothing to say'),
  since: z.string().nullable().describe('ISO 8601: when the state was decided'),
  role: z.enum(['compute', 'witness']),
  coordinator: z.boolean().describe('It decides for the cluster at the moment'),
  maintenance: z.boolean(),
  shutdown: z.enum(['power-off', 'reboot']).nullable().describe('How it is being shut down in order; null: it is not'),
  faultDomains: z.record(z.string(), z.string()).describe('What it can fail with, by kind: `rack`: `r1`'),
  addresses: z.record(z.string(), z.string()).describe('IP address by network role: lan, san, ran'),
  cpuCount: z.number().int(),
  memoryBytes: z.number().int(),
  memoryGrantedBytes: z.number().int().describe('Memory of the guests granted to it'),
  accelerator: z.enum(['kvm', 'tcg', 'none']),
  containers: containerHostSchema.nullable().describe('What it can do for containers; null: it runs none'),
  devices: hostDevicesSchema,
  hugePages: hostHugePagesSchema,
  pools: z.array(
    z.object({
      name: z.string(),
      capacityBytes: z.number().int(),
      allocatedBytes: z.number().int().describe('Sum of the sizes of the replicas placed there'),
      subvolumes: z.boolean().describe('It can hold native roots of containers: it is on btrfs'),
    }),
  ),
  guests: z.array(z.string()).describe('Names of the guests granted to it'),
  powerSwitch: z.boolean().describe('Its power can be cut and restored from here: it is a host of a lab'),
  bootId: z.string(),
  revision,
})
export type HostView = z.output<typeof hostViewSchema>

export const operationViewSchema = operationSchema.extend({
  id: z.string(),
  subjectName: z.string().describe("The guest's or host's name; of a volume also its guest's: `web/disk0`"),
})
export type OperationView = z.output<typeof operationViewSchema>

export const explanationSchema = z.object({
  name: z.string(),
  id: z.string(),
  state: guestStateSchema,
  reason: z.string(),
  decision: decisionSchema.nullable().describe('The last decision about the guest; null when there was none'),
  smallestChange: z
    .string()
    .nullable()
    .describe('The smallest single change that would alter where it is; null when no single one was found'),
  otherChanges: z.array(z.string()).describe('Others that would do alone as well'),
})
export type Explanation = z.output<typeof explanationSchema>

/** Where a guest would go, and why; the answer of a dry run. */
export const placementSchema = z.object({
  host: z.string(),
  volumes: z.array(
    z.object({
      name: z.string(),
      sizeBytes: z.number().int(),
      replicas: z.array(z.object({ host: z.string(), pool: z.string() })),
    }),
  ),
  warnings: z.array(z.string()).describe('What the user should know of it, such as that it is unprotected'),
  decision: decisionSchema,
})
export type Placement = z.output<typeof placementSchema>

export const moveTargetsSchema = z.object({
  guest: z.string(),
  targets: z
    .array(
      z.object({
        host: z.string(),
        possible: z.boolean(),
        live: z.boolean().describe('Whether it can go there without a break'),
        liveReason: z.string().describe('Why not; empty when it can, or cannot go there at all'),
        current: z.boolean().describe('It is there now'),
        reason: z.string().describe('Why it cannot; empty when it can'),
        merits: z.array(z.string()).describe('What speaks for the host'),
      }),
    )
    .describe('The best first'),
  restart: z
    .object({
      expectedMs: z.number().describe('How long the guest is away, ms'),
      measured: z.number().int().describe('From how many stops and starts in this cluster that is known; 0: assumed'),
    })
    .describe('What a move by a restart takes'),
})
export type MoveTargets = z.output<typeof moveTargetsSchema>

export const hostExplanationSchema = z.object({
  name: z.string(),
  state: hostViewSchema.shape.state,
  reason: z.string(),
  since: z.string().nullable(),
  facts: z.array(z.string()).describe('What is known of it, one sentence each'),
  guests: z.array(
    z.object({
      name: z.string(),
      state: guestStateSchema,
      meaning: z.string().describe('What the state of the host means for the guest, or what its loss would mean'),
    }),
  ),
  events: z.array(eventSchema).describe('The last ones about it, oldest first'),
})
export type HostExplanation = z.output<typeof hostExplanationSchema>

export const eventExplanationSchema = z.object({
  event: eventSchema,
  decision: decisionSchema
    .nullable()
    .describe('The decision that it tells of; null when there was none, or it is not known any more'),
  note: z.string().describe('Why there is no decision; empty when there is one'),
  before: z.array(eventSchema).describe('What happened to the same subject and to hosts shortly before, oldest first'),
})
export type EventExplanation = z.output<typeof eventExplanationSchema>

export const ruleViewSchema = z.object({
  name: z.string(),
  kind: z.enum(['together', 'apart', 'hosts', 'ban', 'order']),
  guests: z.array(z.string()).describe("Guests' names, of `order` in that order"),
  strict: z.boolean().describe('False: a wish, weighed against others'),
  across: z.string().nullable().describe('Of `apart`: `host`, or a kind of fault domain'),
  hosts: z
    .array(z.object({ host: z.string(), priority: z.number().int() }))
    .describe('Of `hosts` and `ban`; the highest priority that is available wins'),
  readyAfterMs: z.number().nullable().describe('Of `order`: how long a guest must have run to count as ready, ms'),
  mode: z.enum(['required', 'optional']).nullable().describe('Of `order`'),
  until: z.enum(['running', 'ready']).nullable().describe('Of `order`: what the later guest waits for'),
  text: z.string().describe('What it demands, in one sentence'),
  comment: z.string(),
  revision,
})
export type RuleView = z.output<typeof ruleViewSchema>

export const policyViewSchema = clusterPolicySchema.extend({ revision })
export type PolicyView = z.output<typeof policyViewSchema>

export const clusterCheckSchema = z.object({
  ok: z.boolean().describe('No breach, no violation, no contradiction'),
  admission: z.object({
    hostFailures: z.number().int().describe('Losses at a time that the policy wants to be survived'),
    checked: z.number().int().describe('Losses that were planned'),
    possible: z.number().int().describe('How many there are'),
    note: z.string().describe('Why nothing was planned; empty when it was'),
    breaches: z.array(
      z.object({
        lost: z.array(z.string()),
        text: z.string().describe('"if h2 died now, g7 (16 GiB) would have no place"'),
        unplaced: z.array(z.object({ guest: z.string(), reason: z.string() })),
      }),
    ),
  }),
  violations: z
    .array(z.object({ guest: z.string(), host: z.string(), rules: z.array(z.string()), why: z.string() }))
    .describe('Guests that could not be put today where they run'),
  contradictions: z.array(z.string()).describe('Rules that cannot all be kept, with the proof'),
  balance: z.object({
    mode: z.enum(['off', 'recommend', 'automatic']),
    score: z.number().describe('How unevenly the hosts are filled; 0 is perfectly even'),
    scoreAfter: z.number().describe('The same after the moves'),
    moves: z.array(
      z.object({
        guest: z.string(),
        from: z.string(),
        to: z.string(),
        gain: z.number().describe('What the move takes off the score'),
        bytes: z.number().describe('Memory that would be copied'),
        why: z.string(),
      }),
    ),
  }),
})
export type ClusterCheck = z.output<typeof clusterCheckSchema>
