/** An agent's audit: the writer of its entries, and the chain that it keeps. */
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { Peers } from '../peers.ts'
import { AuditLog } from './audit-log.ts'
import { AuditWriter } from './audit-writer.ts'
import { ClusterAudit } from './cluster-audit.ts'

export interface HostAuditContext {
  readonly self: HostId
  readonly stateDir: string
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly peers: Peers
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function hostAudit(context: HostAuditContext): {
  readonly audit: AuditWriter
  readonly auditChain: ClusterAudit
} {
  const { self, stateDir, store, mirror, peers, clock, log } = context
  const chain = new AuditLog(join(stateDir, 'audit.sqlite'))
  mirror.onBatch((batch) => chain.take(batch))
  const auditChain = new ClusterAudit({
    ...{ self, store, clock, log: chain, agentLog: log },
    isCoordinating: () => mirror.state.coordinator?.value.host === self,
    others: () => peers.online().filter((host) => host !== self),
    call: (host, name, input, timeoutMs) => peers.client(host).callGuest(name, input, timeoutMs),
  })
  return { audit: new AuditWriter({ ...context, host: self }), auditChain }
}
