/**
 * Where hosts come in that have no certificate yet. It is open only while an invitation is valid, and does nothing for
 * who does not show that invitation's secret. What makes a host one of the cluster is one transaction: the invitation
 * goes, the member is there.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import { failure } from '@stead/core/errors.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store, StoreEntry } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { resultToJson } from '../http/internal-protocol.ts'
import { createServer } from '../http/node-https.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { hostContent } from '../trust/host-trust.ts'
import { hasAuthorityKey, readAuthority, trustFiles, type Opener } from '../trust/trust-files.ts'
import { BEING_REPLACED } from './host-admission.ts'
import { INVITATIONS_PREFIX, invitationKey, invitationSchema, type Invitation } from './join-token.ts'
import {
  JOIN_BODY_BYTES_MAX,
  JOIN_PORT,
  joinRequestSchema,
  PAYLOAD_BYTES,
  type JoinAnswer,
  type JoinFacts,
} from './join-protocol.ts'
import { MEMBERSHIP_KEY, membershipOf, readMembership, withMember, type Member } from './membership.ts'
import type { OwnHeartbeatKeys } from './own-heartbeat-keys.ts'
import { readFileSync } from 'node:fs'

export interface JoinDoorContext {
  readonly config: AgentConfig
  readonly store: Store
  readonly vault: Opener
  readonly mirror: ClusterMirror
  readonly credentials: HostCredentials
  readonly own: OwnHeartbeatKeys
  readonly events: EventWriter
  readonly clock: Clock
  readonly log: Log
}

const LOOK_MS = 1_000
const TRIES = 4

/** Opens the door when there is an invitation and closes it when there is none, until aborted. */
export async function keepJoinDoor(context: JoinDoorContext, signal: AbortSignal): Promise<void> {
  const { config, store, clock, log } = context
  // A host without the authority's key can let nobody in.
  if (!hasAuthorityKey(config.stateDir)) return
  const invitations = new Map<string, Invitation>()
  void followInvitations(store, invitations, log, signal)
  let servers: readonly Server[] = []
  const close = () => {
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
    servers = []
  }
  while (!signal.aborted) {
    const isWanted = [...invitations.values()].some(({ expiresAt }) => expiresAt > clock.wallMs())
    if (isWanted && servers.length === 0) servers = openOn(context)
    if (!isWanted && servers.length > 0) close()
    await clock.sleep(LOOK_MS, signal)
  }
  close()
}

async function followInvitations(
  store: Store,
  invitations: Map<string, Invitation>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const take = ({ key, value }: StoreEntry) => {
    const read = invitationSchema.safeParse(JSON.parse(value))
    if (read.success) invitations.set(key, read.data)
    else log.warn('an invitation cannot be read', { key })
  }
  for await (const batch of store.watch(INVITATIONS_PREFIX, signal)) {
    if (batch.kind === 'resync') {
      invitations.clear()
      for (const entry of batch.entries) take(entry)
    } else {
      for (const change of batch.changes) {
        if (change.kind === 'put') take(change.entry)
        else invitations.delete(change.key)
      }
    }
  }
}

function openOn(context: JoinDoorContext): Server[] {
  const { config, credentials, log } = context
  const addresses = Object.values(config.addresses).filter((address) => address !== undefined)
  return addresses.map((address) => {
    const { ca, cert, key } = credentials.material
    // Who comes knows the authority by its fingerprint alone, so it is sent along.
    const server = createServer({ minVersion: 'TLSv1.3', cert: `${cert}${ca}`, key }, (request, response) => {
      answer(context, request, response).catch((error: unknown) => {
        log.error('a host could not be let in', { error })
        response.destroy()
      })
    })
    server.requestTimeout = 30_000
    server.headersTimeout = 5_000
    server.maxConnections = 16
    server.on('error', (error) => log.warn('the door for new hosts does not open', { address, error }))
    server.listen(JOIN_PORT, address)
    return server
  })
}

async function answer(context: JoinDoorContext, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const end = (result: Result<unknown>) => {
    response.writeHead(result.ok ? 200 : 403, { 'content-type': 'application/json', connection: 'close' })
    response.end(resultToJson(result))
  }
  const secret = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
  const invitation = await findInvitation(context, secret)
  if (!invitation.ok) return end(invitation)
  if (request.method !== 'POST') return end(fail(failure('not_found', 'There is nothing here')))
  if (request.url === '/payload') {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': PAYLOAD_BYTES })
    return void response.end(Buffer.alloc(PAYLOAD_BYTES, 0x5a))
  }
  if (request.url === '/facts') return end(ok(factsOf(context, invitation.value.invitation)))
  if (request.url === '/join') return end(await join(context, invitation.value, await readBody(request)))
  end(fail(failure('not_found', 'There is nothing here')))
}

interface FoundInvitation {
  readonly entry: StoreEntry
  readonly invitation: Invitation
}

async function findInvitation({ store, clock }: JoinDoorContext, secret: string): Promise<Result<FoundInvitation>> {
  const entry = await store.get(invitationKey(secret))
  if (!entry.ok) return entry
  const read = entry.value && invitationSchema.safeParse(JSON.parse(entry.value.value))
  if (entry.value && read?.success && read.data.expiresAt > clock.wallMs())
    return ok({ entry: entry.value, invitation: read.data })
  return fail(
    failure('unauthorized', 'The token is not valid, has expired, or has been used', {
      hint: 'Make a new one on a host of the cluster: stead host invite',
    }),
  )
}

function factsOf({ config, mirror, clock }: JoinDoorContext, { role }: Invitation): JoinFacts {
  const hosts = [...mirror.state.hosts.values()].map(({ value }) => value)
  return {
    clusterName: config.clusterName,
    role,
    wallMs: clock.wallMs(),
    members: config.members,
    pools: hosts.flatMap(({ id, pools }) =>
      pools.map(({ name, capacityBytes }) => ({ host: id, name, capacityBytes })),
    ),
    processors: hosts.flatMap(({ id, processor }) => (processor ? [{ host: id, level: processor.level }] : [])),
  }
}

async function join(
  context: JoinDoorContext,
  { entry, invitation }: FoundInvitation,
  body: unknown,
): Promise<Result<JoinAnswer>> {
  const { config, store, vault, own, events, clock, log } = context
  const parsed = joinRequestSchema.safeParse(body)
  if (!parsed.success)
    return fail(failure('bad_request', `The request to join is not valid: ${parsed.error.issues[0]?.message}`))
  if (context.mirror.state.authorityChange) return fail(BEING_REPLACED)
  const { hostId, addresses, requestPem } = parsed.data
  const read = readAuthority(config.stateDir, vault)
  if (!read.ok) return read
  const authority = read.value
  const { signCertificate, createRevocationList } = await import('../trust/certificates.ts')
  const signed = await signCertificate(authority, requestPem, hostContent({ id: hostId, addresses }), clock.wallMs())
  if (!signed.ok) return signed
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const found = await store.get(MEMBERSHIP_KEY)
    if (!found.ok) return found
    const before = found.value ? readMembership(found.value.value) : membershipOf(config)
    const refusal = taken(before.members, hostId, addresses)
    if (refusal) return refusal
    const order = Math.max(0, ...before.members.map((member) => member.order)) + 1
    const self: Member = { hostId, role: invitation.role, order, addresses }
    const after = withMember(before, self)
    const outcome = await store.transact({
      compares: [
        { key: entry.key, modRevision: entry.modRevision },
        { key: MEMBERSHIP_KEY, modRevision: found.value?.modRevision ?? 0n },
      ],
      writes: [
        { kind: 'delete', key: entry.key },
        { kind: 'put', key: MEMBERSHIP_KEY, value: JSON.stringify(after) },
        ...events.writesFor([
          { kind: 'host.admitted', subject: `host/${hostId}`, message: `${hostId} was let in as ${invitation.role}` },
        ]),
      ],
    })
    if (!outcome.ok) return outcome
    if (!outcome.value.committed) {
      const still = await store.get(entry.key)
      if (still.ok && !still.value) return fail(failure('unauthorized', 'The token has just been used'))
      continue
    }
    log.info('let a host in', { joined: hostId, role: invitation.role })
    // Read now: the next one is made for this host as well.
    const keys = await own.newest()
    if (!keys.ok) return keys
    const { agentPort, heartbeatPort, etcdClientPort, etcdPeerPort } = config
    const { detectionMs, heartbeatIntervalMs, leaseTtlMs } = config
    const files = trustFiles(config.stateDir)
    return ok({
      clusterName: config.clusterName,
      ...{ clusterKey: keys.value.key, clusterKeyGeneration: keys.value.generation },
      ...(keys.value.former === undefined ? {} : { formerClusterKey: keys.value.former }),
      self,
      ...{ members: after.members, etcdMembers: after.etcdMembers },
      ports: { agentPort, heartbeatPort, etcdClientPort, etcdPeerPort },
      times: { detectionMs, heartbeatIntervalMs, leaseTtlMs },
      authoritiesPem: readFileSync(files.authorities, 'utf8'),
      certificatePem: signed.value,
      revokedPem: after.revokedPem || (await createRevocationList(authority, after.revoked, clock.wallMs())),
      // Sealed, as it lies here: who joins opens it once it has the key of the secrets.
      ...(invitation.role === 'witness' ? {} : { authorityKeyPem: readFileSync(files.authorityKey, 'utf8') }),
    })
  }
  return fail(failure('changed_meanwhile', 'Others joined or left at the same time', { hint: 'Try again' }))
}

function taken(members: readonly Member[], hostId: string, addresses: Member['addresses']): Result<never> | undefined {
  if (members.some((member) => member.hostId === hostId))
    return fail(failure('conflict', `There is a host ${hostId} already`, { hint: 'Give this one another name' }))
  const own = new Set(Object.values(addresses))
  const other = members.find((member) => Object.values(member.addresses).some((address) => own.has(address)))
  return other && fail(failure('conflict', `${other.hostId} has one of these addresses already`))
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > JOIN_BODY_BYTES_MAX) return undefined
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString())
  } catch {
    return undefined
  }
}
