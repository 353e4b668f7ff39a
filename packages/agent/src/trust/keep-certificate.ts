/**
 * Renews this host's certificate when a year of it is over. Nothing is started anew for it: etcd reads the file at each
 * handshake, and the agent shows what it holds in memory. The key stays, so that a renewal that goes wrong in the middle
 * leaves a pair that fits.
 */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { ageOf, authorityEndsSoon, type CertificateAge } from './certificate-life.ts'
import { readCertificate } from './certificate-reading.ts'
import type { HostCredentials } from './host-credentials.ts'
import { hostContent } from './host-trust.ts'
import {
  hasAuthorityKey,
  readAuthorities,
  readAuthority,
  readMaterial,
  writeCertificate,
  type Opener,
} from './trust-files.ts'

export interface CertificateKeeperOptions {
  readonly config: Pick<AgentConfig, 'hostId' | 'stateDir' | 'members'>
  readonly credentials: HostCredentials
  readonly vault: Opener
  /** Has a host that has the authority's key sign a request of this host. */
  readonly askAnother: (requestPem: string) => Promise<Result<string>>
  readonly clock: Clock
  readonly log: Log
}

const LOOK_MS = 6 * 3_600_000

export async function keepCertificate(options: CertificateKeeperOptions, signal: AbortSignal): Promise<void> {
  const { config, clock, log } = options
  while (!signal.aborted) {
    const renewed = await renewWhenDue(options)
    if (!renewed.ok) log.warn('the certificate of this host is not renewed yet', { cause: renewed.error })
    else if (renewed.value === 'overdue' || renewed.value === 'expired')
      log.error('the certificate of this host should have been renewed long ago', { age: renewed.value })
    const ends = readAuthorities(config.stateDir).map((pem) => readCertificate(pem).notAfterMs)
    if (authorityEndsSoon(Math.max(...ends), clock.wallMs()))
      log.error('the authority of the cluster ends within five years: stead authority replace', {
        at: new Date(Math.max(...ends)),
      })
    await clock.sleep(LOOK_MS, signal)
  }
}

/** How old it is after that. */
export async function renewWhenDue(options: CertificateKeeperOptions): Promise<Result<CertificateAge>> {
  const { config, credentials, vault, askAnother, clock } = options
  const age = ageOf(readCertificate(credentials.material.cert).notAfterMs, clock.wallMs())
  if (age === 'fresh') return ok(age)
  const { createSigningRequest } = await import('./certificates.ts')
  const { requestPem } = await createSigningRequest(config.hostId, credentials.material.key)
  const signed = hasAuthorityKey(config.stateDir)
    ? await signFor(config, vault, config.hostId, requestPem, clock.wallMs())
    : await askAnother(requestPem)
  if (!signed.ok) return signed
  writeCertificate(config.stateDir, signed.value)
  credentials.renew(readMaterial(config.stateDir))
  return ok(ageOf(readCertificate(signed.value).notAfterMs, clock.wallMs()))
}

/** A new certificate for a member: its name is who asked, its addresses are those that the cluster knows. */
export async function signFor(
  config: Pick<AgentConfig, 'stateDir' | 'members'>,
  vault: Opener,
  hostId: string,
  requestPem: string,
  nowMs: number,
): Promise<Result<string>> {
  const authority = readAuthority(config.stateDir, vault)
  if (!authority.ok) return authority
  const member = config.members.find((each) => each.hostId === hostId)
  if (!member) return fail(failure('forbidden', `${hostId} is no host of the cluster`))
  const { signCertificate } = await import('./certificates.ts')
  return signCertificate(authority.value, requestPem, hostContent({ id: hostId, addresses: member.addresses }), nowMs)
}
