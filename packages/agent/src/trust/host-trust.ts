/** Makes what a host needs to be one of the cluster: for `stead init`, for who joins, and for the lab. */
import { FailureError } from '@stead/core/errors.ts'
import type { HostRole } from '@stead/core/model/host.ts'
import { ok } from '@stead/core/result.ts'
import {
  createAuthority,
  createRevocationList,
  issueCertificate,
  type CertificateContent,
  type KeyAndCertificate,
} from './certificates.ts'
import { hasAuthorityKey, hasTrust, NO_VAULT, readAuthority, writeTrust } from './trust-files.ts'

export interface TrustedHost {
  readonly id: string
  readonly role: HostRole
  readonly addresses: Readonly<Partial<Record<string, string>>>
  readonly stateDir: string
}

/** A host is called by its id, and by its addresses where a name cannot be given (etcd's members call each other so). */
export function hostContent({ id, addresses }: Pick<TrustedHost, 'id' | 'addresses'>): CertificateContent {
  const own = Object.values(addresses).filter((address) => address !== undefined)
  return { purpose: 'host', name: id, names: [...own, '127.0.0.1', '::1'] }
}

/**
 * Gives each of the hosts that has none a key and a certificate of the cluster's authority, which is made when none of
 * them has it.
 */
export async function trustEachOther(clusterName: string, hosts: readonly TrustedHost[], nowMs: number): Promise<void> {
  const strangers = hosts.filter((host) => !hasTrust(host.stateDir))
  if (strangers.length === 0) return
  const having = hosts.find((host) => hasAuthorityKey(host.stateDir))
  const known = having ? readAuthority(having.stateDir, NO_VAULT) : ok(await createAuthority(clusterName, nowMs))
  if (!known.ok) throw new FailureError(known.error)
  const authority = known.value
  const revokedPem = await createRevocationList(authority, [], nowMs)
  for (const host of strangers) await giveTrust(authority, host, revokedPem, nowMs)
}

async function giveTrust(
  authority: KeyAndCertificate,
  host: TrustedHost,
  revokedPem: string,
  nowMs: number,
): Promise<void> {
  writeTrust(host.stateDir, {
    authoritiesPem: authority.certificatePem,
    own: await issueCertificate(authority, hostContent(host), nowMs),
    revokedPem,
    ...(host.role === 'witness' ? {} : { authorityKeyPem: authority.keyPem }),
  })
}
