/**
 * Keeps this host's configuration, and whom it believes, as the record of the members says. A change of the members
 * ends the agent, in order; it is started again and finds the new configuration. That disturbs no guest.
 */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { changeConfig, type AgentConfig } from '../config.ts'
import { runProgram } from '../process/run-program.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { writeRevoked } from '../trust/trust-files.ts'
import { MEMBERSHIP_KEY, readMembership, reconfigured, type Membership } from './membership.ts'

const SOCKETS_MS = 5_000
const ANSWER_MS = 1_000

export interface MembershipContext {
  readonly configPath: string
  readonly config: AgentConfig
  readonly store: Store
  readonly credentials: HostCredentials
  /** What must be done with what only this agent's memory has. Bounded. */
  readonly beforeEnd: () => Promise<void>
  /** Ends this agent in order. */
  readonly end: () => void
  readonly clock: Clock
  readonly log: Log
}

export async function followMembership(context: MembershipContext, signal: AbortSignal): Promise<void> {
  for await (const batch of context.store.watch(MEMBERSHIP_KEY, signal)) {
    const entries =
      batch.kind === 'resync'
        ? batch.entries
        : batch.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []))
    const entry = entries.findLast(({ key }) => key === MEMBERSHIP_KEY)
    if (entry) await adopt(context, readMembership(entry.value))
  }
}

async function adopt(context: MembershipContext, membership: Membership): Promise<void> {
  const { config, configPath, credentials, clock, log } = context
  if (membership.revokedPem !== '') writeRevoked(config.stateDir, membership.revokedPem)
  credentials.revoke(membership.revoked)
  const next = reconfigured(config, membership)
  if (!next) return
  const left = config.members.filter(({ hostId }) => !membership.members.some((member) => member.hostId === hostId))
  for (const { hostId, addresses } of left) {
    log.warn('a host is no longer one of the cluster: its connections are ended', { left: hostId })
    // Those of etcd and of the storage daemons, which check nobody again that they have let in.
    for (const address of Object.values(addresses).filter((each) => each !== undefined))
      await runProgram('ss', ['-K', 'dst', address], SOCKETS_MS)
  }
  if (!membership.members.some(({ hostId }) => hostId === config.hostId)) {
    log.error('this host is no longer one of the cluster')
    return
  }
  const { members, etcdMembers } = next
  changeConfig(configPath, ({ apiToken, ...present }) => ({
    ...{ ...present, members, etcdMembers },
    // Who has left knows it.
    ...(apiToken === undefined || left.length > 0 ? {} : { apiToken }),
  }))
  log.info('the members have changed; the agent starts again with them', {
    members: members.map(({ hostId }) => hostId),
  })
  await context.beforeEnd()
  // Whoever was let in by this host, or asked it to remove another, still waits for the answer.
  await clock.sleep(ANSWER_MS)
  context.end()
}
