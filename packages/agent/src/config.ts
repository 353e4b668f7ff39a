/** The agent's configuration file: who this host is and where its things are. Written by the installer or the lab. */
import { existsSync, readFileSync } from 'node:fs'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { z } from 'zod'

const UNCONFIGURED_LOOK_MS = 500

export const addressesSchema = z.object({ lan: z.string(), san: z.string(), ran: z.string() }).partial()
const role = z.enum(['compute', 'witness'])

export const memberSchema = z.strictObject({ hostId: z.string(), role, order: z.int(), addresses: addressesSchema })

const agentConfig = z.strictObject({
  hostId: z.string().describe('name of this host, a DNS label'),
  role,
  order: z.int().describe('place in the order of succession; the lowest alive coordinates'),
  clusterName: z.string(),
  clusterKey: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe('shared secret of the cluster, 32 bytes in hexadecimal'),
  addresses: addressesSchema,
  agentPort: z.int(),
  heartbeatPort: z.int(),
  etcdClientPort: z.int(),
  etcdPeerPort: z.int(),
  members: z.array(memberSchema).describe('all hosts, this one included'),
  etcdMembers: z.array(z.string()).describe('hosts that run a member of the store'),
  joined: z.boolean().optional().describe('it came to a cluster that existed: it never makes a store of its own'),
  stateDir: z.string(),
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
  apiToken: z.string(),
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
