/**
 * A host's part while the authority is replaced: its files as the phase wants them, an agent and a member of the store
 * that have read them, and its record, which says so. Whatever dies on the way begins again with the files that are
 * there. docs/internals/trust.md.
 */
import { authorityStep } from '@stead/core/ha/authority-step.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { AuthorityChange } from '@stead/core/model/authority-change.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import type { AgentConfig } from '../config.ts'
import { isCertificateOf, readCertificate, splitCertificates } from '../trust/certificate-reading.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { signFor } from '../trust/keep-certificate.ts'
import { openSealed } from '../trust/sealed-to-hosts.ts'
import {
  readAuthorities,
  readAuthority,
  readMaterial,
  writeAuthorities,
  writeAuthorityKey,
  writeCertificate,
  type Opener,
} from '../trust/trust-files.ts'

/** While the authority is replaced; else only news wake it. */
const LOOK_MS = 500
const REST_MS = 600_000
const ANSWER_MS = 1_000

export interface FollowAuthorityContext {
  readonly config: Pick<AgentConfig, 'hostId' | 'role' | 'stateDir' | 'members' | 'etcdMembers'>
  readonly credentials: Pick<HostCredentials, 'material'>
  readonly store: Pick<Store, 'get'>
  readonly vault: Opener
  readonly mirror: Pick<ClusterMirror, 'state' | 'onChange'>
  /** This host's member of the store; absent where it has none. */
  readonly member?: OwnStoreMember
  /** Has a host that has the authority's key sign a request of this host. */
  readonly askAnother: (requestPem: string) => Promise<Result<string>>
  /** Writes this host's record, if it says something else than is so. */
  readonly acknowledge: () => Promise<void>
  /** Ends this agent in order; the next one reads the files. */
  readonly end: () => void
  readonly clock: Clock
  readonly log: Log
}

export interface OwnStoreMember {
  /** SHA-256 of what the running one believes. */
  readonly trusts: () => readonly string[] | undefined
  /** Returns when it serves again, or after a while. */
  readonly restart: () => Promise<void>
}

export async function followAuthority(context: FollowAuthorityContext, signal: AbortSignal): Promise<void> {
  const { mirror, clock, log } = context
  const rest = new WakeableSleep(clock)
  let seen = mirror.state.authorityChange
  const off = mirror.onChange(({ authorityChange }) => {
    if (authorityChange !== seen) rest.wake()
    seen = authorityChange
  })
  let told = ''
  while (!signal.aborted) {
    const change = mirror.state.authorityChange?.value
    if (change) {
      const followed = await follow(context, change).catch((cause: unknown) =>
        fail(failure('internal', `The files of trust cannot be brought: ${(cause as Error).message}`, { cause })),
      )
      if (!followed.ok && followed.error.message !== told) {
        told = followed.error.message
        log.warn('the authority cannot be followed yet', { phase: change.phase, cause: followed.error })
      }
      if (followed.ok && followed.value === 'agent-is-old' && isAgentsTurn(context, change)) {
        log.info('the agent starts again with what it now believes', { phase: change.phase })
        // Whoever asked for it still waits for the answer.
        await clock.sleep(ANSWER_MS)
        context.end()
        break
      }
    }
    await rest.sleep(change ? LOOK_MS : REST_MS, signal)
  }
  off()
}

async function follow(
  context: FollowAuthorityContext,
  change: AuthorityChange,
): Promise<Result<'agent-is-old' | 'done'>> {
  const { config, credentials, member, acknowledge } = context
  const files = await bringFiles(context, change)
  if (!files.ok) return files
  if (JSON.stringify(readMaterial(config.stateDir)) !== JSON.stringify(credentials.material)) return ok('agent-is-old')
  const wanted = fingerprints(readAuthorities(config.stateDir))
  if (member && member.trusts()?.join() !== wanted.join()) {
    if (!isOwnTurn(context, wanted)) return ok('done')
    await member.restart()
  }
  await acknowledge()
  return ok('done')
}

/** Each step is done only where its result is not there yet. */
async function bringFiles(context: FollowAuthorityContext, change: AuthorityChange): Promise<Result<void>> {
  const { hostId, stateDir } = context.config
  const believed = readAuthorities(stateDir)
  if (change.phase === 'drop') {
    if (!isCertificateOf(hostId, readMaterial(stateDir).cert, change.certificate, () => false))
      return fail(failure('conflict', `${hostId} has no certificate of the new authority`, { hint: 'Join it anew' }))
    if (believed.length > 1) writeAuthorities(stateDir, [change.certificate])
    return ok()
  }
  if (!fingerprints(believed).includes(change.next)) writeAuthorities(stateDir, [...believed, change.certificate])
  return change.phase === 'sign' ? bringCertificate(context, change) : ok()
}

async function bringCertificate(
  { config, vault, store, askAnother, clock }: FollowAuthorityContext,
  { next, certificate }: AuthorityChange,
): Promise<Result<void>> {
  const { hostId, role, stateDir } = config
  const { key, cert } = readMaterial(stateDir)
  const present = readAuthority(stateDir, vault)
  if (role === 'compute' && !(present.ok && readCertificate(present.value.certificatePem).fingerprint === next)) {
    const sealed = await store.get(SECRET_KEYS.nextAuthority)
    if (!sealed.ok) return sealed
    const opened = await openSealed(sealed.value?.value ?? '', hostId, key)
    if (!opened.ok) return opened
    writeAuthorityKey(stateDir, String(opened.value), vault)
  }
  if (isCertificateOf(hostId, cert, certificate, () => false)) return ok()
  const { createSigningRequest } = await import('../trust/certificates.ts')
  const { requestPem } = await createSigningRequest(hostId, key)
  const signed =
    role === 'compute' ? await signFor(config, vault, hostId, requestPem, clock.wallMs()) : await askAnother(requestPem)
  if (!signed.ok) return signed
  if (!isCertificateOf(hostId, signed.value, certificate, () => false))
    return fail(failure('conflict', 'The host that was asked signs with the former authority still'))
  writeCertificate(stateDir, signed.value)
  return ok()
}

/**
 * Members of the store start anew one after the other, and only while all are there: one that is down holds the phase
 * anyway, and with a second one away the others could not decide.
 */
function isOwnTurn({ config, mirror }: FollowAuthorityContext, wanted: readonly string[]): boolean {
  const { hosts, liveness } = mirror.state
  // In the order of the agents, or each could wait for the other.
  const voters = orderOf(config).filter((host) => config.etcdMembers.includes(host))
  const before = voters.slice(0, voters.indexOf(config.hostId as HostId))
  return (
    voters.every((host) => liveness.has(host)) &&
    before.every((host) => hosts.get(host)?.value.trusts?.join() === wanted.join())
  )
}

/** Half of the agents start anew, then the others: somebody always answers, and somebody can coordinate. */
function isAgentsTurn({ config, mirror }: FollowAuthorityContext, change: AuthorityChange): boolean {
  const members = orderOf(config)
  const firstHalf = members.slice(0, Math.floor(members.length / 2))
  if (firstHalf.includes(config.hostId as HostId)) return true
  const step = authorityStep(change, firstHalf, (host) => {
    const { trusts, certificate = '' } = mirror.state.hosts.get(host)?.value ?? {}
    return { trusts, isSignedByNext: isCertificateOf(host, certificate, change.certificate, () => false) }
  })
  return step.kind === 'go-on'
}

function orderOf({ members }: FollowAuthorityContext['config']): HostId[] {
  return members.map(({ hostId }) => hostId as HostId)
}

/** What a host says of itself in its record: undefined while its agent and its member of the store differ. */
export function ownTrusts(
  { material }: Pick<HostCredentials, 'material'>,
  member: Pick<OwnStoreMember, 'trusts'> | undefined,
): readonly string[] | undefined {
  const own = fingerprints(splitCertificates(material.ca))
  return !member || member.trusts()?.join() === own.join() ? own : undefined
}

function fingerprints(certificates: readonly string[]): string[] {
  return certificates.map((pem) => readCertificate(pem).fingerprint)
}
