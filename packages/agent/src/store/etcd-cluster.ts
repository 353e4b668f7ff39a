/** The membership and the state of the etcd cluster itself: growing it, shrinking it, seeing who leads. */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { Endpoints } from './endpoints.ts'
import type { UnaryMethod } from './endpoints.ts'
import { ClusterService, KVService, MaintenanceService } from './generated/etcd.ts'
import type { Member } from './generated/etcd.ts'

export interface EtcdMember {
  /** etcd's own 64-bit id. */
  readonly id: bigint
  /** Empty until the new member has started once. */
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  /** A learner receives the log but does not vote until it is promoted. */
  readonly learner: boolean
}

export interface EtcdStatus {
  readonly memberId: bigint
  /** 0n while the member knows no leader. */
  readonly leader: bigint
  readonly raftTerm: bigint
  readonly revision: bigint
  readonly databaseBytes: number
  readonly learner: boolean
}

export interface EtcdClusterOptions {
  /** The local member first, as for `EtcdStore`. */
  readonly endpoints: readonly string[]
  /** Membership changes wait for a new member's first contact, so they are given longer than reads and writes. */
  readonly callTimeoutMs?: number
  /** Absent: without TLS. */
  readonly credentials?: HostCredentials
  readonly clock: Clock
  readonly log: Log
}

/**
 * Each call is one attempt at the best member: a change of membership is never repeated by itself. After
 * `store_timeout` the caller looks at `memberList`.
 */
export class EtcdCluster {
  readonly #endpoints: Endpoints

  constructor(options: EtcdClusterOptions) {
    this.#endpoints = new Endpoints({ callTimeoutMs: 5000, ...options })
  }

  async memberList(): Promise<Result<readonly EtcdMember[]>> {
    const answer = await this.#call(ClusterService.memberList, { linearizable: true })
    return answer.ok ? ok(answer.value.members.map(toMember)) : answer
  }

  /** Announces a member before it is started; as a learner it cannot cost the quorum while it catches up. */
  async memberAdd(peerUrls: readonly string[], { learner = false } = {}): Promise<Result<EtcdMember>> {
    const answer = await this.#call(ClusterService.memberAdd, { peerURLs: [...peerUrls], isLearner: learner })
    if (!answer.ok) return answer
    const { member } = answer.value
    return member ? ok(toMember(member)) : fail(failure('internal', 'etcd added a member and did not name it'))
  }

  /** Fails with `conflict` while the learner is not in sync with the leader. */
  async memberPromote(id: bigint): Promise<Result<void>> {
    const answer = await this.#call(ClusterService.memberPromote, { ID: id })
    return answer.ok ? ok() : answer
  }

  async memberRemove(id: bigint): Promise<Result<void>> {
    const answer = await this.#call(ClusterService.memberRemove, { ID: id })
    return answer.ok ? ok() : answer
  }

  /** Forgets all history up to the revision, which must not be newer than the present one. */
  async compact(revision: bigint): Promise<Result<void>> {
    const answer = await this.#call(KVService.compact, { revision, physical: false })
    return answer.ok ? ok() : answer
  }

  async close(): Promise<void> {
    this.#endpoints.close()
  }

  async #call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Result<Response>> {
    const endpoint = this.#endpoints.best()
    const outcome = await this.#endpoints.call(endpoint, method, request)
    if (outcome.kind === 'answer') return ok(outcome.value)
    const { fate, error: cause } = outcome
    if (fate === 'refused') return fail(failure('conflict', `etcd refused: ${cause.message}`, { cause }))
    if (fate === 'not-executed')
      return fail(failure('no_quorum', `etcd at ${endpoint.address}: ${cause.message}`, { cause }))
    return fail(failure('store_timeout', `etcd at ${endpoint.address}: ${cause.message}`, { cause }))
  }
}

/** What one member says of itself, leader or not, quorum or not. */
export async function etcdStatus(
  endpoint: string,
  options: { readonly clock: Clock; readonly log: Log; readonly timeoutMs?: number },
): Promise<Result<EtcdStatus>> {
  const { clock, log, timeoutMs = 700 } = options
  const endpoints = new Endpoints({ endpoints: [endpoint], clock, log, callTimeoutMs: timeoutMs })
  try {
    const outcome = await endpoints.call(endpoints.best(), MaintenanceService.status, {}, { requireLeader: false })
    if (outcome.kind === 'failed') {
      return fail(
        failure('host_unreachable', `etcd at ${endpoint}: ${outcome.error.message}`, { cause: outcome.error }),
      )
    }
    const { header, leader, raftTerm, dbSize, isLearner } = outcome.value
    return ok({
      memberId: header?.memberId ?? 0n,
      leader,
      raftTerm,
      revision: header?.revision ?? 0n,
      databaseBytes: Number(dbSize),
      learner: isLearner,
    })
  } finally {
    endpoints.close()
  }
}

function toMember(member: Member): EtcdMember {
  return {
    id: member.ID,
    name: member.name,
    peerUrls: member.peerURLs,
    clientUrls: member.clientURLs,
    learner: member.isLearner,
  }
}
