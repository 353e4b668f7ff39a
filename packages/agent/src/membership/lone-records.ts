/**
 * Makes the records those of a cluster of this host alone, once its store answers by itself: guests and disks first, the
 * members last, since with them this agent begins anew.
 */
import { guestSteps, hostSteps, type Loneliness, type RecordStep } from '@stead/core/ha/lone-recovery.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Write } from '@stead/core/ports/store.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { restartStore, type LoneStoreContext } from '../etcd/lone-store.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { hostContent } from '../trust/host-trust.ts'
import { readAuthority, readMaterial, writeTrust } from '../trust/trust-files.ts'
import { WHOLE_SECRETS } from '../vault/sealed-records.ts'
import type { Vault } from '../vault/vault.ts'
import { keyKnownTo } from './host-admission.ts'
import { INVITATIONS_PREFIX } from './join-token.ts'
import { keyDigestOf, writeLeftBehind } from './left-behind.ts'
import { MEMBERSHIP_KEY, membershipOf, readMembership, withoutMember } from './membership.ts'

export interface LoneRecordsContext extends LoneStoreContext {
  readonly mirror: ClusterMirror
  readonly credentials: HostCredentials
  readonly vault: Vault
  readonly events: EventWriter
  readonly log: Log
}

/** Of one transaction. */
const AT_ONCE = 100
const ROUNDS_MAX = 500
const OWN_COPY_MS = 5_000

export interface GoingOn extends Loneliness {
  /** Whether they open here; otherwise they are given up. */
  readonly hasSecrets: boolean
}

export async function goOnAlone(context: LoneRecordsContext, going: GoingOn): Promise<Result<void>> {
  const settled = await settleGuests(context, going)
  if (!settled.ok) return settled
  const former = context.credentials.material
  if (!going.hasSecrets) {
    const fresh = await beginAnewWithoutSecrets(context)
    if (!fresh.ok) return fresh
  }
  const { config } = context
  writeLeftBehind(config.stateDir, {
    port: config.agentPort,
    hosts: config.members
      .filter(({ hostId }) => hostId !== config.hostId)
      .flatMap(({ hostId, addresses }) => {
        const { certificate } = context.mirror.state.hosts.get(hostId as HostId)?.value ?? {}
        const known = Object.values(addresses).filter((address) => address !== undefined)
        return certificate === undefined ? [] : [{ hostId, addresses: known, keyDigest: keyDigestOf(certificate) }]
      }),
    material: former,
  })
  return endMembers(context, going)
}

/** Guests and disks as they are without the others, and this host the one that coordinates. */
async function settleGuests(context: LoneRecordsContext, alone: Loneliness): Promise<Result<void>> {
  const { mirror, clock } = context
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const due = () => [...guestSteps(mirror.state, alone), ...claimStep(context)]
    const some = due().slice(0, AT_ONCE)
    if (some.length === 0) return ok()
    const written = await write(context, some)
    // Refused: a run of this host has written meanwhile.
    if (!written.ok && written.error.code !== 'changed_meanwhile') return written
    const isDone = () => !due().some(({ compare: { key } }) => some.some((step) => step.compare.key === key))
    await mirror.until(isDone, clock.sleep(OWN_COPY_MS))
  }
  return fail(CHANGED)
}

/** The secrets' next key is made by the coordinator, right before this agent begins anew. */
function claimStep({ mirror, config }: LoneRecordsContext): readonly RecordStep[] {
  const known = mirror.state.coordinator
  if (known?.value.host === config.hostId) return []
  const claim = { host: config.hostId, term: (known?.value.term ?? 0) + 1 }
  return [
    {
      compare: { key: KEYS.coordinator, modRevision: known?.revision ?? 0n },
      write: { kind: 'put', key: KEYS.coordinator, value: JSON.stringify(claim) },
    },
  ]
}

async function write(
  { store }: LoneRecordsContext,
  steps: readonly RecordStep[],
  more: readonly Write[] = [],
): Promise<Result<void>> {
  const outcome = await store.transact({
    compares: steps.map(({ compare }) => compare),
    writes: [...steps.map((step) => step.write), ...more],
  })
  if (!outcome.ok) return outcome
  return outcome.value.committed ? ok() : fail(CHANGED)
}

/**
 * Nothing that was sealed opens any more, the authority's key among it. So this host gets another authority, which makes
 * strangers of all others without a list; what only the old key opens is deleted, or set anew by who needs it.
 */
async function beginAnewWithoutSecrets(context: LoneRecordsContext): Promise<Result<void>> {
  const { config, store, credentials, clock } = context
  const { createAuthority, createRevocationList, createSigningRequest, signCertificate } =
    await import('../trust/certificates.ts')
  const now = clock.wallMs()
  const authority = await createAuthority(config.clusterName, now)
  const { keyPem, requestPem } = await createSigningRequest(config.hostId, credentials.material.key)
  const own = hostContent({ id: config.hostId, addresses: config.addresses })
  const signed = await signCertificate(authority, requestPem, own, now)
  if (!signed.ok) return signed
  const gone: Write[] = [KEYS.vault, KEYS.authorityChange].map((key) => ({ kind: 'delete', key }))
  for (const prefix of [...WHOLE_SECRETS, INVITATIONS_PREFIX]) {
    const found = await store.range(prefix)
    if (!found.ok) return found
    gone.push(...found.value.entries.map(({ key }): Write => ({ kind: 'delete', key })))
  }
  for (let from = 0; from < gone.length; from += AT_ONCE) {
    const outcome = await store.transact({ compares: [], writes: gone.slice(from, from + AT_ONCE) })
    if (!outcome.ok) return outcome
  }
  writeTrust(config.stateDir, {
    authoritiesPem: authority.certificatePem,
    authorityKeyPem: authority.keyPem,
    own: { keyPem, certificatePem: signed.value },
    revokedPem: await createRevocationList(authority, [], now),
  })
  credentials.renew(readMaterial(config.stateDir))
  // It reads whom it believes when it starts.
  return restartStore(context)
}

/** The members are this host, and whoever else was one is revoked. Every agent that sees it begins anew: this one. */
async function endMembers(context: LoneRecordsContext, { self, lost }: GoingOn): Promise<Result<void>> {
  const { config, store, mirror, vault, events, clock } = context
  const authority = readAuthority(config.stateDir, vault)
  if (!authority.ok) return authority
  const [known, key] = [await store.get(MEMBERSHIP_KEY), await store.get(KEYS.heartbeatKey)]
  if (!known.ok) return known
  if (!key.ok) return key
  const { createRevocationList } = await import('../trust/certificates.ts')
  const before = known.value ? readMembership(known.value.value) : membershipOf(config)
  const serials = lost.flatMap((host) => mirror.state.hosts.get(host)?.value.certificateSerial ?? [])
  const revoked = [...new Set([...before.revoked, ...serials])]
  const after = {
    ...lost.reduce((membership, host) => withoutMember(membership, host), before),
    ...{ etcdMembers: [config.hostId], revoked },
    revokedPem: await createRevocationList(authority.value, revoked, clock.wallMs()),
  }
  const names = lost.join(', ')
  return write(context, hostSteps(mirror.state, { self, lost }), [
    { kind: 'put', key: MEMBERSHIP_KEY, value: JSON.stringify(after) },
    { kind: 'put', key: KEYS.heartbeatKey, value: keyKnownTo(lost, key.value?.value) },
    { kind: 'delete', key: SECRET_KEYS.deviceKey },
    ...lost.map((host): Write => ({ kind: 'delete', key: KEYS.liveness(host) })),
    ...events.writesFor([
      {
        kind: 'cluster.recovered',
        subject: 'cluster',
        message: `an administrator had ${self} go on alone: ${names} are lost for good`,
        details: { lost: names },
      },
    ]),
  ])
}

const CHANGED = failure('changed_meanwhile', 'The records kept changing', { hint: 'Ask again: it goes on' })
