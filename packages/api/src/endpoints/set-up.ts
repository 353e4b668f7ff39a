/**
 * The set-up of a host that is of no cluster yet, as `stead setup` serves it: docs/internals/set-up.md. These are not the
 * cluster's endpoints: there is no cluster, no user and no permission, only the one code that root of the host was shown.
 */
import { z } from 'zod'
import { userNameSchema } from '../access-records.ts'
import { BOND_MODES, HASH_POLICIES, LACP_RATES } from '@stead/core/network/bond-plan.ts'
import { endpoint } from '../endpoint.ts'

const dnsLabel = z.string().regex(/^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/, 'must be a DNS label of at most 32 characters')
const address = z.ipv4({ error: 'must be an IPv4 address' })
const bytes = z.number().int().min(1)

/** As the kernel takes it; also what keeps an order for `ip` to one word. */
const portName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/, 'must be the name of a port, such as eno1')

export const bondSchema = z.strictObject({
  name: portName.describe('What the bond is called: `bond0`'),
  ports: z.array(portName).min(2).max(16).describe('The cards that it is made of'),
  mode: z
    .enum(BOND_MODES)
    .default('active-backup')
    .describe('`active-backup` needs nothing of the switch; `802.3ad` LACP; `balance-xor` a fixed aggregation'),
  miimonMs: z.number().int().min(10).max(10_000).default(100).describe('How often links are looked at'),
  lacpRate: z.enum(LACP_RATES).default('fast').describe('Of `802.3ad`'),
  hashPolicy: z.enum(HASH_POLICIES).default('layer3+4').describe('By what the port of a packet is chosen'),
  addresses: z
    .array(z.cidrv4({ error: 'must be an IPv4 address with the length of its network, such as 192.0.2.1/24' }))
    .max(8)
    .default([])
    .describe('Besides those that its ports have, which go over to it'),
})

const onHost = {
  host: dnsLabel.describe('What the host is called in the cluster'),
  addresses: z
    .strictObject({ lan: address.optional(), san: address.optional(), ran: address.optional() })
    .refine((given) => Object.values(given).some((one) => one !== undefined), 'must name at least one address')
    .describe('Of this host, on its networks; one network may serve for all: `lan` then'),
  bonds: z.array(bondSchema).max(8).default([]).describe('Ports that are to be one from now on'),
  pools: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, 'must be lower-case letters, digits and dashes'),
        path: z.string().regex(/^\/[^\0]{1,4000}$/, 'must be a whole path'),
        capacityBytes: bytes,
      }),
    )
    .max(32)
    .default([])
    .describe('Where disks of guests are kept; a witness has none'),
  cpuCount: z.number().int().min(1).max(8192).optional().describe('What guests may have; all when absent'),
  memoryBytes: bytes.optional().describe('What guests may have; all when absent'),
  guestUser: z
    .strictObject({ uid: z.number().int().min(1), gid: z.number().int().min(1) })
    .optional()
    .describe('Whom guests run as; root when absent'),
}

export const initAnswersSchema = z.strictObject({
  kind: z.literal('init'),
  ...onHost,
  cluster: dnsLabel.describe("The new cluster's name"),
  detectionMs: z.number().int().min(500).max(60_000).default(3_000).describe('Silence after which a host is held dead'),
  clusterAddress: address.optional().describe('One more address of the LAN, at which some host always answers'),
  administrator: userNameSchema.optional().describe('A first user, who may everything; he gets a one-time password'),
  invite: z
    .array(z.enum(['compute', 'witness']))
    .max(8)
    .default([])
    .describe('Make tokens for hosts that are to join next'),
})

export const joinAnswersSchema = z.strictObject({
  kind: z.literal('join'),
  ...onHost,
  token: z.string().max(8_192).describe('Of `stead host invite`; it says whether this becomes a witness'),
})

export const setupAnswersSchema = z.discriminatedUnion('kind', [initAnswersSchema, joinAnswersSchema])
export type InitAnswers = z.output<typeof initAnswersSchema>
export type JoinAnswers = z.output<typeof joinAnswersSchema>
export type SetupAnswers = z.output<typeof setupAnswersSchema>

export const checkSchema = z.object({
  id: z.string().describe('Stable: `clock`, `san-mtu-h1`; what `despite` names'),
  name: z.string().describe('For people'),
  state: z
    .enum(['ok', 'warning', 'failed'])
    .describe('`failed` refuses the set-up, unless `despite` names the check; `warning` does not'),
  text: z.string().describe('What was found'),
  hint: z.string().nullable().describe('What to do about it'),
  final: z.boolean().describe('Its failure refuses whatever `despite` says'),
})
export type SetupCheck = z.output<typeof checkSchema>

export const setupPlanSchema = z.object({
  kind: z.enum(['init', 'join']),
  cluster: z.string(),
  host: z.string(),
  role: z.enum(['compute', 'witness']),
  checks: z.array(checkSchema),
  steps: z.array(z.string()).describe('What will be done, in order'),
})
export type SetupPlan = z.output<typeof setupPlanSchema>

const portSchema = z.object({
  name: z.string(),
  kind: z.enum(['ethernet', 'bond', 'bridge', 'vlan', 'other']),
  up: z.boolean().describe('There is a link'),
  speedMbits: z.number().int().nullable().describe('Null where the port does not say'),
  mtu: z.number().int(),
  mac: z.string(),
  addresses: z.array(z.string()).describe('IPv4, with the length of the network: `192.0.2.1/24`'),
  members: z.array(z.string()).describe('Ports that a bond or a bridge is made of'),
})
export type SetupPort = z.output<typeof portSchema>

const diskSchema = z.object({
  name: z.string().describe('Below /dev'),
  model: z.string(),
  sizeBytes: z.number().int(),
  rotational: z.boolean(),
  usedBy: z.array(z.string()).describe('Where it, or a part of it, is mounted; empty: free'),
})
const fileSystemSchema = z.object({
  path: z.string(),
  device: z.string(),
  type: z.string(),
  sizeBytes: z.number().int(),
  freeBytes: z.number().int(),
})

const outcomeSchema = z.object({
  web: z.array(z.string()).describe("Where the cluster's own web interface is: `https://192.0.2.1:8443`"),
  fingerprint: z.string().nullable().describe('SHA-256 of the authority that it shows; null where it could not be had'),
  administrator: z
    .object({ user: z.string(), password: z.string().describe('Works once; nobody can ever see it again') })
    .nullable(),
  invitations: z.array(z.object({ role: z.enum(['compute', 'witness']), token: z.string(), expiresAt: z.string() })),
})
export type SetupOutcome = z.output<typeof outcomeSchema>

const workSchema = z.object({
  state: z.enum(['running', 'done', 'failed']),
  steps: z.array(z.object({ text: z.string(), state: z.enum(['waiting', 'running', 'done', 'failed']) })),
  error: z.object({ message: z.string(), hint: z.string() }).nullable(),
  outcome: outcomeSchema.nullable().describe('Once it is done'),
})
export type SetupWorkView = z.output<typeof workSchema>

export const setupViewSchema = z.object({
  host: z.string().describe('Its own name, which is proposed'),
  cpuCount: z.number().int(),
  memoryBytes: z.number().int(),
  ports: z.array(portSchema),
  disks: z.array(diskSchema),
  fileSystems: z.array(fileSystemSchema),
  work: workSchema.nullable().describe('What was begun by `setup.apply`; null: nothing yet'),
})
export type SetupView = z.output<typeof setupViewSchema>

/** Whoever has the code is root of the host, so far as this goes. */
const BY_CODE = { permission: 'none', on: 'self' } as const

export const SETUP_ENDPOINTS = {
  'setup.show': endpoint({
    id: 'setup.show',
    method: 'GET',
    path: '/v1/setup',
    summary: 'Show what this host has, and how far its set-up is',
    ...BY_CODE,
    response: setupViewSchema,
    status: 200,
  }),
  'setup.check': endpoint({
    id: 'setup.check',
    method: 'POST',
    path: '/v1/setup/checks',
    summary: 'Look at everything that the set-up needs, and change nothing',
    ...BY_CODE,
    body: setupAnswersSchema,
    response: setupPlanSchema,
    unrecorded: true,
    status: 200,
    // Ten packets to every host on every network, and 32 MiB from one.
    answerWithinMs: 120_000,
  }),
  'setup.apply': endpoint({
    id: 'setup.apply',
    method: 'POST',
    path: '/v1/setup/apply',
    summary: 'Look again, then make this host one of a cluster',
    ...BY_CODE,
    body: z.strictObject({
      answers: setupAnswersSchema,
      despite: z.array(z.string()).max(100).default([]).describe('Checks whose failure is accepted'),
    }),
    response: workSchema,
    unrecorded: true,
    status: 202,
    long: true,
  }),
} as const
