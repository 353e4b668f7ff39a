/** The agent's configuration file: who this host is and where its things are. Written by the installer or the lab. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { z } from 'zod'
import { bondSchema } from '@stead/api/endpoints/set-up.ts'
import type { HeartbeatKeys } from './guardian/heartbeat-keys.ts'

const UNCONFIGURED_LOOK_MS = 500

export const addressesSchema = z.object({ lan: z.string(), san: z.string(), ran: z.string() }).partial()
const role = z.enum(['compute', 'witness'])

export const memberSchema = z.strictObject({ hostId: z.string(), role, order: z.int(), addresses: addressesSchema })

const bondRouteSchema = z.strictObject({
  to: z.string(),
  via: z.string().exactOptional(),
  metric: z.int().exactOptional(),
})

const agentConfig = z.strictObject({
  hostId: z.string().describe('name of this host, a DNS label'),
  role,
  order: z.int().describe('place in the order of succession; the lowest alive coordinates'),
  clusterName: z.string(),
  clusterKey: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe("the key of the cluster's heartbeats, 32 bytes in hexadecimal"),
  clusterKeyGeneration: z.int().optional().describe('how often it was replaced; never when absent'),
  formerClusterKey: z.string().optional().describe('the one before, as long as it counts beside it'),
  addresses: addressesSchema,
  agentPort: z.int(),
  heartbeatPort: z.int(),
  etcdClientPort: z.int(),
  etcdPeerPort: z.int(),
  members: z.array(memberSchema).describe('all hosts, this one included'),
  etcdMembers: z.array(z.string()).describe('hosts that run a member of the store'),
  joined: z.boolean().optional().describe('it came to a cluster that existed: it never makes a store of its own'),
  stateDir: z.string(),
  bonds: z
    .array(bondSchema.extend({ routes: z.array(bondRouteSchema) }))
    .optional()
    .describe('ports that the agent makes one at each start'),
  pools: z.array(z.strictObject({ name: z.string(), path: z.string(), capacityBytes: z.int() })),
  capacity: z.strictObject({ cpuCount: z.int(), memoryBytes: z.int() }),
  detectionMs: z.int(),
  heartbeatIntervalMs: z.int(),
  leaseTtlMs: z.int(),
  guestUser: z
    .strictObject({ uid: z.int(), gid: z.int() })
    .optional()
    .describe('unprivileged user that guests and storage daemons run as'),
  nativeDir: z.string().describe('folder of the built C helpers'),
  criu: z.string().optional().describe('path of CRIU, by which containers move live; /usr/sbin/criu when absent'),
  apiToken: z.string().optional().describe("counts as root at the public port; the lab's"),
  api: z
    .strictObject({
      address: z.string().describe('where the public API listens; the LAN address when absent').optional(),
      port: z.int().describe('8443 when absent').optional(),
      certificateFile: z.string().describe('PEM, with the chain; one is made when absent').optional(),
      keyFile: z.string().optional(),
      names: z.array(z.string()).describe('further names by which clients call this host').optional(),
    })
    .optional(),
})

export type AgentConfig = z.infer<typeof agentConfig>

/** A host that has not been set up waits here: `stead init` and `stead join` write the file. */
export async function untilConfigured(path: string, log: Log, clock: Clock, signal: AbortSignal): Promise<void> {
  if (existsSync(path)) return
  log.info('this host is of no cluster yet: stead init makes one, stead join makes it one of a cluster', { path })
  while (!existsSync(path) && !signal.aborted) await clock.sleep(UNCONFIGURED_LOOK_MS, signal)
}

/** Throws with the field's name when the file is not valid: the agent cannot start without it. */
export function loadConfig(path: string): AgentConfig {
  const parsed = agentConfig.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (!parsed.success) throw new Error(`${path} is not a valid configuration: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** The file as it is now, with what is changed of it. The running agent keeps what it began with. */
export function changeConfig(path: string, change: (config: AgentConfig) => AgentConfig): void {
  const half = `${path}.new`
  writeFileSync(half, `${JSON.stringify(change(loadConfig(path)), null, 2)}\n`, { mode: 0o600 })
  renameSync(half, path)
}

export function heartbeatKeysOf(
  config: Pick<AgentConfig, 'clusterKey' | 'clusterKeyGeneration' | 'formerClusterKey'>,
): HeartbeatKeys {
  const { clusterKey: key, clusterKeyGeneration: generation = 0, formerClusterKey: former } = config
  return { generation, key, ...(former === undefined ? {} : { former }) }
}

/** The same, the other way round. */
export function withHeartbeatKeys(config: AgentConfig, { generation, key, former }: HeartbeatKeys): AgentConfig {
  const { formerClusterKey: _, ...rest } = config
  const kept = former === undefined ? {} : { formerClusterKey: former }
  return { ...rest, clusterKey: key, clusterKeyGeneration: generation, ...kept }
}
