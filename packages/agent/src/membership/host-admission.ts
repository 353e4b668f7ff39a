/** What administrators decide about the members: whom to invite, and who is no host of the cluster any more. */
import { randomBytes } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { FIRST_HEARTBEAT_KEY, type HeartbeatKey } from '@stead/core/model/heartbeat-key.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import type { EtcdMemberHost } from '../etcd/etcd-member.ts'
import { readCertificate } from '../trust/certificate-reading.ts'
import { hasAuthorityKey, readAuthorities, readAuthority, type Opener } from '../trust/trust-files.ts'
import { JOIN_PORT } from './join-protocol.ts'
import { invitationKey, writeToken, type Invitation } from './join-token.ts'
import { MEMBERSHIP_KEY, membershipOf, readMembership, withoutMember } from './membership.ts'

export interface HostAdmissionContext {
  readonly config: AgentConfig
  readonly store: Store
  readonly vault: Opener
  readonly mirror: ClusterMirror
  readonly member: EtcdMemberHost
  readonly events: EventWriter
  readonly clock: Clock
  readonly log: Log
}

const MINUTE_MS = 60_000
const TRIES = 4
const VOTE_ENDS_MS = 15_000
const AGAIN_MS = 500

export class HostAdmission {
  readonly #context: HostAdmissionContext

  constructor(context: HostAdmissionContext) {
    this.#context = context
  }

  /** The token is told this once; the store keeps a digest. */
  async invite(
    role: HostRole,
    minutes: number,
  ): Promise<Result<{ readonly token: string; readonly expiresAtMs: number }>> {
    const { config, store, mirror, clock } = this.#context
    if (!hasAuthorityKey(config.stateDir)) return fail(noAuthority(config.hostId))
    if (mirror.state.authorityChange) return fail(BEING_REPLACED)
    const secret = randomBytes(32).toString('base64url')
    const invitation: Invitation = { role, expiresAt: clock.wallMs() + minutes * MINUTE_MS }
    const outcome = await store.transact({
      compares: [],
      writes: [{ kind: 'put', key: invitationKey(secret), value: JSON.stringify(invitation) }],
    })
    if (!outcome.ok) return outcome
    // This host first: whoever made the token can look after it here. A witness lets nobody in.
    const hosts = config.members.filter((member) => member.role === 'compute')
    const inOrder = hosts.toSorted((a, b) => Number(b.hostId === config.hostId) - Number(a.hostId === config.hostId))
    const addresses = inOrder.flatMap((member) => Object.values(member.addresses).filter((each) => each !== undefined))
    const { fingerprint } = readCertificate(readAuthorities(config.stateDir)[0] ?? '')
    const token = writeToken({ cluster: config.clusterName, role, fingerprint, addresses, port: JOIN_PORT, secret })
    return ok({ token, expiresAtMs: invitation.expiresAt })
  }

  /** Its certificate counts no more from this moment on, whether it is up or not. */
  async remove(host: HostId): Promise<Result<void>> {
    const { config, store, vault, mirror, events, clock } = this.#context
    if (!hasAuthorityKey(config.stateDir)) return fail(noAuthority(config.hostId))
    const authority = readAuthority(config.stateDir, vault)
    if (!authority.ok) return authority
    const refusal = inUse(mirror.state, host)
    if (refusal) return refusal
    const { createRevocationList } = await import('../trust/certificates.ts')
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const [found, record] = [await store.get(MEMBERSHIP_KEY), mirror.state.hosts.get(host)]
      if (!found.ok) return found
      const knownKey = await store.get(KEYS.heartbeatKey)
      if (!knownKey.ok) return knownKey
      const before = found.value ? readMembership(found.value.value) : membershipOf(config)
      if (!before.members.some(({ hostId }) => hostId === host)) {
        const ended = await this.#endVote(host)
        return before.removed.includes(host) ? withoutVote(ended) : ended
      }
      const serial = record?.value.certificateSerial
      const revoked = [...new Set([...before.revoked, ...(serial === undefined ? [] : [serial])])]
      const revokedPem = await createRevocationList(authority.value, revoked, clock.wallMs())
      const after = { ...withoutMember(before, host), revoked, revokedPem }
      const outcome = await store.transact({
        compares: [
          { key: MEMBERSHIP_KEY, modRevision: found.value?.modRevision ?? 0n },
          { key: KEYS.host(host), modRevision: record?.revision ?? 0n },
          { key: KEYS.heartbeatKey, modRevision: knownKey.value?.modRevision ?? 0n },
        ],
        writes: [
          { kind: 'put', key: MEMBERSHIP_KEY, value: JSON.stringify(after) },
          { kind: 'put', key: KEYS.heartbeatKey, value: keyKnownTo([host], knownKey.value?.value) },
          // The next use makes another one: nobody is taken for a known device by what the removed host has read.
          { kind: 'delete', key: SECRET_KEYS.deviceKey },
          ...[KEYS.host(host), KEYS.status(host), KEYS.policy(host), KEYS.liveness(host)].map((key) => ({
            ...{ kind: 'delete' as const, key },
          })),
          ...events.writesFor([
            { kind: 'host.removed', subject: `host/${host}`, message: `${host} is no host of the cluster any more` },
          ]),
        ],
      })
      if (!outcome.ok) return outcome
      if (!outcome.value.committed) continue
      return withoutVote(await this.#endVote(host))
    }
    return fail(failure('changed_meanwhile', 'The hosts kept changing', { hint: 'Try again' }))
  }

  /** The host may have led the store, which then elects first. Can be repeated. */
  async #endVote(host: HostId): Promise<Result<void>> {
    const { member, clock, log } = this.#context
    const deadline = clock.monotonicMs() + VOTE_ENDS_MS
    for (;;) {
      const ended = await member.removeMember(host)
      if (ended.ok || ended.error.code === 'not_found') return ended
      if (clock.monotonicMs() > deadline) {
        log.error('a removed host is still a member of the store', { removed: host, cause: ended.error })
        return ended
      }
      await clock.sleep(AGAIN_MS)
    }
  }
}

/** The coordinator makes another one. */
export function keyKnownTo(removed: readonly HostId[], present: string | undefined): string {
  const key = present === undefined ? FIRST_HEARTBEAT_KEY : (JSON.parse(present) as HeartbeatKey)
  return JSON.stringify({ ...key, due: [...new Set([...key.due, ...removed])] })
}

export const BEING_REPLACED = failure('conflict', 'The authority is being replaced, and nobody joins meanwhile', {
  hint: 'See `stead authority show`, and try again when it is done',
})

/** It was no voter, or its vote was ended by an earlier try. */
function withoutVote(ended: Result<void>): Result<void> {
  return !ended.ok && ended.error.code === 'not_found' ? ok() : ended
}

function inUse({ grants, volumes }: ClusterState, host: HostId): Result<never> | undefined {
  const running = [...grants.values()].filter(({ value }) => isActive(value) && value.host === host)
  const holding = [...volumes.values()].filter(({ value }) => value.replicas.some((replica) => replica.host === host))
  if (running.length > 0)
    return fail(
      failure('conflict', `${running.length} guests run on ${host}`, { hint: `First: stead host drain ${host}` }),
    )
  if (holding.length === 0) return undefined
  const text = `${host} has replicas of ${holding.length} volumes`
  return fail(failure('conflict', text, { hint: 'Move them to other hosts first: stead volume move' }))
}

/** A client goes on to the next host. */
function noAuthority(host: string) {
  return failure('host_unreachable', `${host} is a witness and has not the authority's key`, {
    hint: 'Ask a host that runs guests',
  })
}
