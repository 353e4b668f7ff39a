/**
 * The schemas of the store's records. They accept unknown fields (and drop them): a newer agent may have
 * written the record. Each schema is checked against its type in `core` when the code is compiled.
 */
import type { Role } from '@stead/core/access/privilege.ts'
import type { AccessPermission, ApiToken, Group, SignInSession, User } from '@stead/core/model/access.ts'
import type { Backup } from '@stead/core/model/backup.ts'
import type { AddressHolder, ClusterSettings, CoordinatorClaim } from '@stead/core/model/cluster.ts'
import type { RecordDecoder } from '@stead/core/model/cluster-reducer.ts'
import type { Candidate, Decision } from '@stead/core/model/decision.ts'
import { EVENT_KINDS, type ClusterEvent } from '@stead/core/model/event.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { Guest, GuestObservation } from '@stead/core/model/guest.ts'
import type { AuthorityChange } from '@stead/core/model/authority-change.ts'
import type { HeartbeatKey } from '@stead/core/model/heartbeat-key.ts'
import { NETWORK_ROLES, type Host, type HostPolicy, type HostStatus } from '@stead/core/model/host.ts'
import type { ClusterPolicy } from '@stead/core/model/cluster-policy.ts'
import type { Project } from '@stead/core/model/project.ts'
import type { Realm } from '@stead/core/model/realm.ts'
import type { Vault } from '@stead/core/model/vault.ts'
import type { CertificateProgress, WantedCertificate } from '@stead/core/model/web-certificate.ts'
import type { Webhook, WebhookDelivery } from '@stead/core/model/webhook.ts'
import type { Rule } from '@stead/core/model/rule.ts'
import type { Snapshot } from '@stead/core/model/snapshot.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import type { DiskCopy } from '@stead/core/model/disk-copy.ts'
import type { ImageImport } from '@stead/core/model/image-import.ts'
import type { Image, Removal, Volume } from '@stead/core/model/volume.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { groupSchema, permissionSchema, roleSchema, sessionSchema, tokenSchema, userSchema } from './access-records.ts'
import { containerHostSchema, containerSchema } from './container-records.ts'
import { z } from 'zod'
import { blobIdSchema } from './blob-id-schema.ts'
import { nicLimitsSchema } from './hardware-records.ts'
import { passwordPolicySchema } from './password-records.ts'
import { certificateProgressSchema, wantedCertificateSchema } from './certificate-records.ts'
import { backupSchema } from './backup-records.ts'
import { diskCopySchema, imageDiskSchema, imageImportSchema, imageSchema } from './image-records.ts'
import { describeIssues } from './issues.ts'
import { lifecycleSchema } from './lifecycle-records.ts'
import { mediaSchema } from './media-schema.ts'
import { hostDevicesSchema, hostHugePagesSchema, platformSchema } from './platform-records.ts'
import {
  bytes,
  epoch,
  guestId,
  hostId,
  operationId,
  volumeId,
  wallMs,
  wholeNumber,
  processorLevelSchema,
} from './record-values.ts'
import { projectName, projectSchema } from './project-records.ts'
import { grantSchema, observationSchema } from './run-records.ts'
import { realmSchema } from './realm-records.ts'
import { webhookDeliverySchema, webhookSchema } from './webhook-records.ts'
import { ruleSchema } from './rule-records.ts'
import { rootCopyPolicySchema } from './root-copy-records.ts'
import { snapshotScheduleSchema, snapshotSchema } from './snapshot-records.ts'
import { authorityChangeSchema, heartbeatKeySchema, vaultSchema } from './trust-records.ts'
import { volumeSchema } from './volume-records.ts'

export const settingsSchema = z.object({
  id: z.string().describe("The cluster's UUID"),
  name: z.string(),
  detectionMs: z.number().describe('A host is suspected when all its heartbeats stay away for this long, ms'),
  heartbeatIntervalMs: z.number().describe('Between two heartbeats of a host on one network, ms'),
  leaseTtlMs: z.number().describe("Time to live of a host's lease in the store, ms"),
  createdAt: wallMs('When the cluster was made'),
})

export const coordinatorSchema = z.object({
  host: hostId,
  term: wholeNumber().describe('Grows with each claim'),
})

export const addressHolderSchema = z.object({ host: hostId, address: z.string(), lease: z.string() })

export const poolSchema = z.object({
  name: z.string(),
  path: z.string().describe("Folder on the host's file system that holds the replicas"),
  capacityBytes: bytes('Size of the pool'),
  subvolumes: z
    .literal(true)
    .exactOptional()
    .describe('Its file system can hold roots of containers as folders with quotas'),
})

export const hostSchema = z.object({
  id: hostId,
  role: z.enum(['compute', 'witness']).describe('A witness votes; it runs no guest and holds no data'),
  order: z.number().int().describe('Place in the order of succession: the lowest one alive coordinates'),
  addresses: z.partialRecord(z.enum(NETWORK_ROLES), z.string()).describe('IP address by network role'),
  agentPort: z.number().int().min(1).max(65535).describe("TCP port of the agent's host-to-host server"),
  pools: z.array(poolSchema),
  cpuCount: wholeNumber(),
  memoryBytes: bytes("The host's memory"),
  bootId: z.string().describe('Changes with each boot of the host'),
  certificateSerial: z.string().exactOptional().describe('What is revoked when the host is removed'),
  certificate: z.string().exactOptional().describe('PEM: what is only for the host is written for its key'),
  heartbeatKey: wholeNumber().exactOptional().describe("Generation of the heartbeats' key that it takes"),
  trusts: z.array(z.string()).exactOptional().describe('Fingerprints of the authorities that it trusts'),
  accelerator: z.enum(['kvm', 'tcg', 'none']),
  devices: hostDevicesSchema.exactOptional().describe('Devices that guests can have'),
  hugePages: hostHugePagesSchema.exactOptional(),
  processor: z
    .object({ level: processorLevelSchema, model: z.string() })
    .exactOptional()
    .describe('What its processor can offer to guests: x86-64-v1 to v4'),
  containers: containerHostSchema.exactOptional().describe('Absent: it runs no containers'),
  storageGate: z.literal(true).exactOptional().describe('It reaches the storage of others in TLS, and they its own'),
  powerSwitch: z.literal(true).exactOptional().describe('A device cuts its power and restores it'),
  qemuVersion: z.string().exactOptional().describe('Decides between which hosts guests move live'),
})

export const statusSchema = z.object({
  state: z.enum(['online', 'lost']),
  bootId: z.string().describe('The boot for which the state was decided'),
  since: wallMs('When it was decided'),
  reason: z.string(),
})

export const policySchema = z.object({
  maintenance: z.boolean().describe('True while the host is drained'),
  shutdown: z.enum(['power-off', 'reboot']).exactOptional().describe('The host is being shut down in order'),
  faultDomains: z
    .record(z.string(), z.string())
    .exactOptional()
    .describe('Kind and name of what the host can fail with: `rack`: `r1`'),
})

export const clusterPolicySchema = z.object({
  cpuOvercommit: z.number().positive().max(1000).describe('Virtual processors that guests may take for each real one'),
  memoryReserveBytes: bytes('Memory of each host that guests may not take'),
  admission: z.object({
    hostFailures: z
      .number()
      .int()
      .min(0)
      .max(4)
      .describe('Hosts that may be lost at a time without a guest losing its place'),
    onBreach: z.enum(['ignore', 'warn', 'refuse']).describe('What becomes of a change that breaks this'),
  }),
  balancing: z.object({
    mode: z.enum(['off', 'recommend', 'automatic']),
    scoreMax: z.number().min(0).max(1).describe('Begins above this: standard deviations of memory and processor fill'),
    scoreGoal: z.number().min(0).max(1).describe('Ends below this'),
    holdMs: z.number().min(0).describe('How long the imbalance must last first, ms'),
    movesPerHourMax: wholeNumber(),
  }),
  shutdown: z
    .enum(['failover', 'freeze', 'migrate', 'conditional'])
    .describe("What becomes of a host's guests when it is shut down in order"),
  migration: z
    .object({
      bandwidthBytesPerSecond: z.number().min(0).max(1e12).describe('What one live move may take; 0: no limit'),
      downtimeMs: z.number().min(1).max(10_000).describe('How long a guest may stand still at its end, by forecast'),
      postCopy: z
        .boolean()
        .describe('Let a guest go on before all its memory is there when the copy does not converge'),
      compressed: z
        .boolean()
        .exactOptional()
        .describe('Compress the memory on its way: for networks slower than a processor; not with post-copy'),
    })
    .exactOptional()
    .describe('Live moves'),
  armed: z.boolean().describe('False: nothing is started, moved or recovered unless somebody asks for it'),
  whatIfRequired: z.boolean().describe('True: a change is taken only from somebody who has seen what it will do'),
  outboundAllow: z
    .array(z.union([z.cidrv4(), z.cidrv6()], 'must be a network such as 10.1.0.0/16'))
    .max(100)
    .readonly()
    .exactOptional()
    .describe("Networks to which hosts connect on a user's word, though they are private or special: for webhooks"),
  clusterAddress: z.ipv4().exactOptional().describe('One more address of the LAN, at which some host always answers'),
  templateKeys: z
    .record(
      z.string().regex(/^[a-z0-9]([a-z0-9.@-]{0,61}[a-z0-9])?$/, 'must be a name of lower-case letters and digits'),
      z.string().regex(/^ssh-ed25519 [A-Za-z0-9+/]{68}$/, 'must be an Ed25519 key: `ssh-ed25519 AAAA…`'),
    )
    .exactOptional()
    .describe('Keys whose signatures of templates are trusted, by name'),
  templateSignatures: z
    .enum(['optional', 'demanded'])
    .exactOptional()
    .describe('`demanded`: templates without such a signature are refused'),
  passwords: passwordPolicySchema.exactOptional(),
})

export const livenessSchema = z.object({ bootId: z.string() })

const kernelBootSchema = z.object({
  kind: z.literal('kernel'),
  kernel: blobIdSchema,
  initrd: blobIdSchema.exactOptional(),
  append: z.string().describe("The kernel's command line"),
})
export const bootSchema = z.discriminatedUnion('kind', [
  kernelBootSchema,
  z.object({ kind: z.literal('disk') }),
  z.object({ kind: z.literal('container') }),
])

export const haSchema = z
  .enum(['started', 'stopped', 'ignored'])
  .describe('What the cluster keeps true for the guest; `ignored`: the cluster never acts by itself')

export const displaySchema = z
  .enum(['none', 'vga'])
  .describe('`vga`: a screen and a keyboard, seen by VNC; `none`: the serial console only')

export const nicSchema = z.object({
  mac: z.string(),
  network: z.literal('lan'),
  slot: wholeNumber().exactOptional().describe('Its number, which decides its place in the machine'),
  limits: nicLimitsSchema.exactOptional(),
  addresses: z.array(z.string()).exactOptional().describe('With prefix length; a container may use no others'),
  gateways: z.array(z.string()).exactOptional(),
})

export const guestSchema = z.object({
  id: guestId,
  name: z.string(),
  kind: z.enum(['vm', 'ct']),
  project: projectName.exactOptional(),
  memoryBytes: bytes("The guest's memory"),
  cpus: wholeNumber(),
  boot: bootSchema,
  container: containerSchema.exactOptional(),
  volumes: z.array(volumeId),
  memoryMaxBytes: bytes('Memory up to which it can grow while it runs').exactOptional(),
  cpusMax: wholeNumber().exactOptional().describe('Processors up to which it can grow while it runs'),
  balloonBytes: bytes('What the balloon should leave it of its memory').exactOptional(),
  holds: z
    .object({ memoryBytes: wholeNumber(), cpus: wholeNumber() })
    .exactOptional()
    .describe('What it was asked to give back and may still have'),
  nics: z.array(nicSchema),
  display: displaySchema.exactOptional(),
  media: mediaSchema.exactOptional(),
  template: z
    .object({ disks: z.array(imageDiskSchema), firmware: imageDiskSchema.exactOptional() })
    .exactOptional()
    .describe('Others are cloned from it, and it is never started'),
  ha: haSchema,
  desired: z.enum(['running', 'stopped']),
  forceStop: z.boolean(),
  shutdownTimeoutMs: z.number().exactOptional(),
  priority: z
    .number()
    .int()
    .min(-1000)
    .max(1000)
    .exactOptional()
    .describe('Placed and recovered before those with less'),
  maxRestart: wholeNumber().max(100).exactOptional().describe('Further tries on the host where a run failed'),
  maxRelocate: wholeNumber().max(100).exactOptional().describe('Other hosts that are tried after that'),
  failback: z.boolean().exactOptional().describe('Whether it returns to the hosts that a rule prefers'),
  processor: z.enum(['baseline', 'host']).exactOptional().describe('`baseline` when absent: what all hosts can'),
  platform: platformSchema.exactOptional().describe('An ordinary machine when absent'),
  agent: z
    .object({ execute: z.boolean().describe('Programs may be run in it from outside, by its agent') })
    .exactOptional(),
  preferredHost: hostId.exactOptional(),
  acceptDataLoss: z.object({ host: hostId, atEpoch: epoch }).exactOptional(),
  moveTo: hostId.exactOptional().describe('Asked to be moved there'),
  lifecycle: lifecycleSchema.exactOptional(),
  moveHow: z.enum(['live', 'post-copy', 'restart']).exactOptional().describe('How; by a stop and a start when absent'),
  restartEpoch: epoch.exactOptional().describe('The run that a user has asked to be stopped and started again'),
  cancelledHandover: epoch.exactOptional().describe('The hand-over that a user has called off'),
  resumeFrom: z.string().exactOptional().describe('The snapshot whose memory belongs to the disks as they are'),
  snapshotSchedule: snapshotScheduleSchema.exactOptional(),
  rootCopy: rootCopyPolicySchema.exactOptional().describe('Of a native root: a copy on another host'),
  deleting: z.boolean(),
  createdAt: wallMs('When it was created'),
})

const failureSummarySchema = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string().exactOptional(),
})

export const operationSchema = z.object({
  id: operationId,
  kind: z.string().describe('`vm.create`, `vm.start`, `host.drain`, ...'),
  subject: z.string().describe('`guest/<id>` or `host/<id>`'),
  project: projectName.exactOptional(),
  state: z.enum(['running', 'waiting', 'succeeded', 'failed']),
  progress: z.number().min(0).max(1).describe('0 to 1'),
  message: z.string().describe('What it is doing, or for `waiting` and `failed` why'),
  failure: failureSummarySchema.exactOptional(),
  made: z
    .object({ blob: blobIdSchema, sizeBytes: bytes('Size of the file') })
    .exactOptional()
    .describe('The file that it has made, to be fetched by its digest'),
  startedAt: wallMs('When it began'),
  finishedAt: wallMs('When it ended').exactOptional(),
})

const candidateSchema = z.object({
  host: z.string(),
  chosen: z.boolean(),
  rejectedBecause: z.string().describe('Empty when nothing speaks against it'),
  merits: z.array(z.string()).describe('What speaks for it, best first'),
})

export const decisionSchema = z.object({
  guest: z.string(),
  action: z.enum(['start', 'recover', 'wait', 'restart']),
  outcome: z.string(),
  waitsFor: z.enum(['data', 'room', 'order', 'policy']).exactOptional().describe('Of a wait: what it is for'),
  epoch,
  decidedAt: wallMs('When it was decided'),
  coordinator: z.string().describe('The host that decided'),
  plan: z.string().exactOptional().describe('Of which plan it was part: `stead replay PLAN`'),
  facts: z.array(z.string()).describe('What was known, one sentence each'),
  candidates: z.array(candidateSchema),
  moved: z
    .array(
      z.object({ guest: guestId, name: z.string(), from: hostId, to: hostId, at: wallMs('When that was decided') }),
    )
    .exactOptional()
    .describe('Of a wait: guests that were moved to make room for it'),
})

export const eventSchema = z.object({
  id: z.string().describe('Unique; growing per reporting host'),
  time: z.string().describe("ISO 8601, UTC, from the reporting host's wall clock"),
  monotonicMs: z.number().describe("The reporting host's monotonic clock, ms"),
  kind: z.enum(EVENT_KINDS),
  subject: z.string().describe('`host/<name>`, `guest/<name>`, `volume/<id>`, `rule/<name>` or `cluster`'),
  project: projectName.exactOptional(),
  message: z.string(),
  host: z.string().describe('Who reports'),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).exactOptional(),
})

export const removalSchema = z.object({
  host: hostId,
  volume: volumeId,
  pool: z.string(),
})

/** A schema's output as the model writes its types: read-only all the way down. */
export type Frozen<T> = T extends string | number | boolean | bigint | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Frozen<Item>[]
    : { readonly [Key in keyof T]: Frozen<T[Key]> }

export type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
type SchemaOf<T> = [T] extends [z.ZodType] ? Frozen<z.output<T>> : never

/** Compiles only while every schema means exactly its model type. */
type Checked<Rows extends readonly true[]> = Rows
export type RecordsMatchModel = Checked<
  [
    Same<SchemaOf<typeof settingsSchema>, ClusterSettings>,
    Same<SchemaOf<typeof coordinatorSchema>, CoordinatorClaim>,
    Same<SchemaOf<typeof addressHolderSchema>, AddressHolder>,
    Same<SchemaOf<typeof heartbeatKeySchema>, HeartbeatKey>,
    Same<SchemaOf<typeof authorityChangeSchema>, AuthorityChange>,
    Same<SchemaOf<typeof vaultSchema>, Vault>,
    Same<SchemaOf<typeof wantedCertificateSchema>, WantedCertificate>,
    Same<SchemaOf<typeof certificateProgressSchema>, CertificateProgress>,
    Same<SchemaOf<typeof hostSchema>, Host>,
    Same<SchemaOf<typeof statusSchema>, HostStatus>,
    Same<SchemaOf<typeof policySchema>, HostPolicy>,
    Same<SchemaOf<typeof clusterPolicySchema>, ClusterPolicy>,
    Same<SchemaOf<typeof ruleSchema>, Rule>,
    Same<SchemaOf<typeof guestSchema>, Guest>,
    Same<SchemaOf<typeof observationSchema>, GuestObservation>,
    Same<SchemaOf<typeof grantSchema>, Grant>,
    Same<SchemaOf<typeof volumeSchema>, Volume>,
    Same<SchemaOf<typeof operationSchema>, Operation>,
    Same<SchemaOf<typeof candidateSchema>, Candidate>,
    Same<SchemaOf<typeof decisionSchema>, Decision>,
    Same<SchemaOf<typeof eventSchema>, ClusterEvent>,
    Same<SchemaOf<typeof removalSchema>, Removal>,
    Same<SchemaOf<typeof snapshotSchema>, Snapshot>,
    Same<SchemaOf<typeof imageSchema>, Image>,
    Same<SchemaOf<typeof imageImportSchema>, ImageImport>,
    Same<SchemaOf<typeof diskCopySchema>, DiskCopy>,
    Same<SchemaOf<typeof backupSchema>, Backup>,
    Same<SchemaOf<typeof userSchema>, User>,
    Same<SchemaOf<typeof groupSchema>, Group>,
    Same<SchemaOf<typeof roleSchema>, Role>,
    Same<SchemaOf<typeof tokenSchema>, ApiToken>,
    Same<SchemaOf<typeof projectSchema>, Project>,
    Same<SchemaOf<typeof realmSchema>, Realm>,
    Same<SchemaOf<typeof webhookSchema>, Webhook>,
    Same<SchemaOf<typeof webhookDeliverySchema>, WebhookDelivery>,
    Same<SchemaOf<typeof permissionSchema>, AccessPermission>,
    Same<SchemaOf<typeof sessionSchema>, SignInSession>,
  ]
>

function decoderOf<Schema extends z.ZodType>(name: string, schema: Schema) {
  return (json: unknown): Result<z.output<Schema>> => {
    const checked = schema.safeParse(json)
    if (checked.success) return ok(checked.data)
    const why = describeIssues(checked.error.issues, schema).message
    return fail(failure('internal', `A ${name} record in the store is not valid: ${why}`, { cause: checked.error }))
  }
}

/** One function a record type: parsed JSON in, the checked record or a failure `internal` out. */
export const recordDecoder = {
  settings: decoderOf('settings', settingsSchema),
  coordinator: decoderOf('coordinator', coordinatorSchema),
  addressHolder: decoderOf('address holder', addressHolderSchema),
  heartbeatKey: decoderOf('heartbeat key', heartbeatKeySchema),
  authorityChange: decoderOf('change of the authority', authorityChangeSchema),
  vault: decoderOf('vault', vaultSchema),
  wantedCertificate: decoderOf('wanted certificate', wantedCertificateSchema),
  certificateProgress: decoderOf('progress of a certificate', certificateProgressSchema),
  host: decoderOf('host', hostSchema),
  status: decoderOf('status', statusSchema),
  policy: decoderOf('policy', policySchema),
  clusterPolicy: decoderOf('cluster policy', clusterPolicySchema),
  rule: decoderOf('rule', ruleSchema),
  liveness: decoderOf('liveness', livenessSchema),
  guest: decoderOf('guest', guestSchema),
  grant: decoderOf('grant', grantSchema),
  volume: decoderOf('volume', volumeSchema),
  observation: decoderOf('observation', observationSchema),
  decision: decoderOf('decision', decisionSchema),
  removal: decoderOf('removal', removalSchema),
  snapshot: decoderOf('snapshot', snapshotSchema),
  image: decoderOf('image', imageSchema),
  imageImport: decoderOf('image import', imageImportSchema),
  diskCopy: decoderOf('copy of disks', diskCopySchema),
  backup: decoderOf('backup', backupSchema),
  operation: decoderOf('operation', operationSchema),
  user: decoderOf('user', userSchema),
  group: decoderOf('group', groupSchema),
  role: decoderOf('role', roleSchema),
  token: decoderOf('token', tokenSchema),
  project: decoderOf('project', projectSchema),
  projectTurn: decoderOf('project turn', z.string()),
  realm: decoderOf('realm', realmSchema),
  webhook: decoderOf('webhook', webhookSchema),
  webhookDelivery: decoderOf('webhook delivery', webhookDeliverySchema),
  permission: decoderOf('permission', permissionSchema),
  session: decoderOf('session', sessionSchema),
} as const satisfies RecordDecoder

export const decodeEvent = decoderOf('event', eventSchema)
