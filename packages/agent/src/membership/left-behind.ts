/**
 * The hosts that a recovery has left behind (docs/internals/recovery.md). Two of them that are switched on again are a
 * majority of the cluster that was: nothing that they know says otherwise. So the host that went on tells them, again and
 * again, with the certificate that they still believe; who is told ends its guests and is a host of no cluster.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { failure } from '@stead/core/errors.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { HostClient } from '../http/host-client.ts'
import type { Companion } from '../process/companion.ts'
import { HostCredentials } from '../trust/host-credentials.ts'

const CALL = 'left-behind'
/** A host that is switched on starts its first guest some seconds after its agent can be told. */
const TELL_EACH_MS = 1_000
const ANSWER_MS = 2_000
/** The one that tells waits for the answer. */
const LEAVE_AFTER_MS = 200

const leftBehindSchema = z.strictObject({
  port: z.int(),
  hosts: z.array(z.strictObject({ hostId: z.string(), addresses: z.array(z.string()), keyDigest: z.string() })),
  /** As this host was known to them. */
  material: z.strictObject({ ca: z.string(), cert: z.string(), key: z.string() }),
})
const messageSchema = z.object({ keyDigest: z.string() })
export type LeftBehind = z.infer<typeof leftBehindSchema>

/** Of a host's own key, which stays the same when its certificate is renewed. */
export function keyDigestOf(certificatePem: string): string {
  const key = new X509Certificate(certificatePem).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('hex')
}

function fileOf(stateDir: string): string {
  return join(stateDir, 'left-behind.json')
}

export function readLeftBehind(stateDir: string): LeftBehind | undefined {
  const file = fileOf(stateDir)
  return existsSync(file) ? leftBehindSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
}

/** Without a host the file goes. */
export function writeLeftBehind(stateDir: string, left: LeftBehind): void {
  const file = fileOf(stateDir)
  if (left.hosts.length === 0) return rmSync(file, { force: true })
  writeFileSync(`${file}.new`, JSON.stringify(left), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

export interface TellingContext {
  readonly config: Pick<AgentConfig, 'stateDir' | 'members' | 'clusterName'>
  readonly events: EventWriter
  readonly clock: Clock
  readonly log: Log
}

/** Until each of them has heard it, or is a host of the cluster again. */
export async function tellLeftBehind(context: TellingContext, signal: AbortSignal): Promise<void> {
  const { config, events, clock } = context
  const isBack = (hostId: string) => config.members.some((member) => member.hostId === hostId)
  for (;;) {
    const left = readLeftBehind(config.stateDir)
    if (!left || signal.aborted) return
    const told = await Promise.all(left.hosts.map(async (host) => isBack(host.hostId) || tell(left, host)))
    const hosts = left.hosts.filter((_, index) => !told[index])
    if (hosts.length < left.hosts.length) writeLeftBehind(config.stateDir, { ...left, hosts })
    for (const { hostId } of left.hosts.filter((host) => !hosts.includes(host) && !isBack(host.hostId)))
      events.tell({
        kind: 'host.left-behind',
        subject: `host/${hostId}`,
        message: `${hostId} was switched on again and told that it is no host of the cluster any more`,
      })
    await clock.sleep(TELL_EACH_MS, signal)
  }
}

async function tell({ port, material }: LeftBehind, host: LeftBehind['hosts'][number]): Promise<boolean> {
  const { hostId, addresses, keyDigest } = host
  const credentials = new HostCredentials(material)
  const client = new HostClient({ host: hostId, addresses, port, credentials, keepAlive: false, timeoutMs: ANSWER_MS })
  try {
    return (await client.callGuest(CALL, { keyDigest })).ok
  } finally {
    client.close()
  }
}

export interface LeavingContext {
  readonly config: Pick<AgentConfig, 'hostId' | 'members'>
  readonly credentials: Pick<HostCredentials, 'material'>
  readonly configPath: string
  /** Ends this agent in order. */
  readonly end: () => void
  /** What it has started and would outlive it; with the deadman end the guests. */
  readonly companions: readonly Pick<Companion, 'kill'>[]
  readonly clock: Clock
  readonly log: Log
}

/** What the host that went on asks of this one. */
export function leavingCalls({ config, credentials, configPath, end, companions, clock, log }: LeavingContext) {
  const leave = async () => {
    end()
    for (const companion of companions) await companion.kill()
  }
  return {
    [CALL]: async (input: unknown, caller: string): Promise<Result<void>> => {
      const member = config.members.find(({ hostId }) => hostId === caller)
      if (caller === config.hostId || member?.role !== 'compute')
        return fail(failure('forbidden', `${caller} decides nothing of ${config.hostId}`))
      // A machine that was wiped meanwhile, and is a host again by the same name, is not meant.
      const meant = messageSchema.safeParse(input).data?.keyDigest
      if (meant !== keyDigestOf(credentials.material.cert))
        return fail(failure('conflict', `${config.hostId} is not the host that was left behind`))
      log.error(`${caller} goes on without this host, which is of no cluster any more: its guests are ended`, {
        hint: 'Empty its state folder and its pools, then join it as a new host',
      })
      // The next agent waits to be set up.
      if (existsSync(configPath)) renameSync(configPath, `${configPath}.left-behind`)
      void clock.sleep(LEAVE_AFTER_MS).then(leave)
      return ok()
    },
  }
}
