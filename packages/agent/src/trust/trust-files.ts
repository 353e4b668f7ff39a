/**
 * What a host keeps to prove who it is: `STATE/trust`, mode 0700, its files 0600. Read and written whole, so that a
 * crash in the middle of a renewal leaves the old one.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { generationOf } from '../vault/key-ring.ts'
import { splitCertificates } from './certificate-reading.ts'
import type { KeyAndCertificate } from './certificates.ts'

export interface TrustFiles {
  readonly folder: string
  /** The authorities that are believed: one, or two while one replaces the other. */
  readonly authorities: string
  /** The authority's own key: on hosts that may make hosts. Sealed by the cluster's vault as soon as there is one. */
  readonly authorityKey: string
  readonly key: string
  readonly certificate: string
  /** What has been revoked, for etcd. */
  readonly revoked: string
}

/** As Node's TLS functions want it, PEM. */
export interface TlsMaterial {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** What a host needs to be one of the cluster. */
export interface HostTrust {
  readonly authoritiesPem: string
  readonly own: KeyAndCertificate
  readonly revokedPem: string
  /** As the file has it. Absent on a witness: who breaks into it makes no hosts. */
  readonly authorityKeyPem?: string
}

export function trustFiles(stateDir: string): TrustFiles {
  const folder = join(stateDir, 'trust')
  return {
    folder,
    authorities: join(folder, 'authorities.pem'),
    authorityKey: join(folder, 'authority.key'),
    key: join(folder, 'host.key'),
    certificate: join(folder, 'host.pem'),
    revoked: join(folder, 'revoked.pem'),
  }
}

export function hasTrust(stateDir: string): boolean {
  const files = trustFiles(stateDir)
  return [files.authorities, files.key, files.certificate].every((file) => existsSync(file))
}

/** Throws when the host has no certificate. */
export function readMaterial(stateDir: string): TlsMaterial {
  const files = trustFiles(stateDir)
  return {
    ca: readFileSync(files.authorities, 'utf8'),
    cert: readFileSync(files.certificate, 'utf8'),
    key: readFileSync(files.key, 'utf8'),
  }
}

/** Opens what the cluster's vault has sealed, and seals, with what this host has of its keys now. */
export interface Opener {
  openNow(text: string, place: string): Result<string>
  /** In clear as long as it has no key: the vault's keeper seals it later. */
  sealNow(text: string, place: string): string
}

/** Of a host that is of no cluster yet: nothing on it is sealed. */
export const NO_VAULT: Opener = {
  openNow: () => fail(failure('secrets_locked', 'The key of the authority is sealed by the vault of a cluster')),
  sealNow: (text) => text,
}

/** For what the file of the authority's key is sealed. */
export const AUTHORITY_KEY_PLACE = 'trust/authority.key'

/** Whether this host may make hosts; it may still have to find the key by which that of the authority opens. */
export function hasAuthorityKey(stateDir: string): boolean {
  return existsSync(trustFiles(stateDir).authorityKey)
}

/** The authority, where this host may make hosts: of those that are believed the one that the key is of. */
export function readAuthority(stateDir: string, vault: Opener): Result<KeyAndCertificate> {
  const { authorityKey } = trustFiles(stateDir)
  if (!hasAuthorityKey(stateDir)) return fail(failure('conflict', 'This host has not the authority’s key'))
  const kept = readFileSync(authorityKey, 'utf8')
  const opened = generationOf(kept) === undefined ? ok(kept) : vault.openNow(kept, AUTHORITY_KEY_PLACE)
  if (!opened.ok) return opened
  const [keyPem, key] = [opened.value, createPrivateKey(opened.value)]
  const certificatePem = readAuthorities(stateDir).find((pem) => new X509Certificate(pem).checkPrivateKey(key))
  if (certificatePem !== undefined) return ok({ keyPem, certificatePem })
  return fail(failure('conflict', 'The key that this host has is of no authority that it believes'))
}

/** Who is believed, one PEM each. */
export function readAuthorities(stateDir: string): string[] {
  return splitCertificates(readFileSync(trustFiles(stateDir).authorities, 'utf8'))
}

export function writeAuthorities(stateDir: string, certificates: readonly string[]): void {
  writeWhole(trustFiles(stateDir).authorities, certificates.map((pem) => `${pem.trim()}\n`).join(''))
}

export function writeAuthorityKey(stateDir: string, keyPem: string, vault: Opener): void {
  writeWhole(trustFiles(stateDir).authorityKey, vault.sealNow(keyPem, AUTHORITY_KEY_PLACE))
}

export function writeTrust(stateDir: string, trust: HostTrust): void {
  const files = trustFiles(stateDir)
  mkdirSync(files.folder, { recursive: true, mode: 0o700 })
  writeWhole(files.authorities, trust.authoritiesPem)
  if (trust.authorityKeyPem !== undefined) writeWhole(files.authorityKey, trust.authorityKeyPem)
  writeWhole(files.key, trust.own.keyPem)
  writeWhole(files.certificate, trust.own.certificatePem)
  writeWhole(files.revoked, trust.revokedPem)
}

export function writeCertificate(stateDir: string, certificatePem: string): void {
  writeWhole(trustFiles(stateDir).certificate, certificatePem)
}

export function writeRevoked(stateDir: string, revokedPem: string): void {
  writeWhole(trustFiles(stateDir).revoked, revokedPem)
}

function writeWhole(file: string, text: string): void {
  const half = `${file}.new`
  writeFileSync(half, text, { mode: 0o600 })
  renameSync(half, file)
}
