/**
 * The cluster's own certificates: its authority, the hosts' and the web's. ECDSA with P-256 throughout: what every TLS
 * library speaks, and a signature costs a handshake 0.1 ms.
 *
 * What only reads certificates is in `certificate-reading.ts`: this file loads a library of 19 MB, which a host needs
 * for a moment in a year, so import it where it is used (`await import`).
 */
import 'reflect-metadata'
import { createPrivateKey, generateKeyPairSync, randomBytes, webcrypto, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  AuthorityKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
  X509CrlReason,
  cryptoProvider,
} from '@peculiar/x509'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { AUTHORITY_LIFE_MS, HOST_LIFE_MS } from './certificate-life.ts'

cryptoProvider.set(webcrypto as unknown as Parameters<typeof cryptoProvider.set>[0])

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
/**
 * A host whose clock's battery is empty begins in 1970 or in the year of its firmware, and must still be able to talk
 * to those that tell it the time.
 */
const NOT_BEFORE = new Date(0)

const COMMON_NAME_LENGTH_MAX = 64

/** A private key (PKCS #8) and its certificate, both PEM. */
export interface KeyAndCertificate {
  readonly keyPem: string
  readonly certificatePem: string
}

export interface SigningRequest {
  readonly keyPem: string
  readonly requestPem: string
}

/**
 * `host`: server and client, among the hosts of the cluster. `web`: a server only, so that what serves browsers can
 * never speak for a host.
 */
export type CertificatePurpose = 'host' | 'web'

export interface CertificateContent {
  readonly purpose: CertificatePurpose
  /** The subject, and the first of the names. Of a host: its id. */
  readonly name: string
  /** Further DNS names and IP addresses under which it is reached. */
  readonly names: readonly string[]
}

/** A new authority: whoever has its key can make hosts of the cluster. */
export async function createAuthority(clusterName: string, nowMs: number): Promise<KeyAndCertificate> {
  const { keyPem, keys } = await newKey()
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [`${clusterName} hosts`] }, { O: [clusterName] }],
    notBefore: NOT_BEFORE,
    notAfter: new Date(nowMs + AUTHORITY_LIFE_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { keyPem, certificatePem: pem(certificate) }
}

/** What a host sends to be signed. The key never leaves it; an existing one is kept where it is given. */
export async function createSigningRequest(name: string, existingKeyPem?: string): Promise<SigningRequest> {
  const { keyPem, keys } = existingKeyPem === undefined ? await newKey() : await keyOf(existingKeyPem)
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: ALGORITHM,
  })
  return { keyPem, requestPem: `${request.toString('pem')}\n` }
}

/** Asks a foreign authority for a certificate of these names, with a key that there is. DER. */
export async function createNamesRequest(names: readonly string[], keyPem: string): Promise<Buffer> {
  const { keys } = await keyOf(keyPem)
  const request = await Pkcs10CertificateRequestGenerator.create({
    // A subject's name is shorter than DNS allows.
    name: names
      .filter((name) => name.length <= COMMON_NAME_LENGTH_MAX)
      .slice(0, 1)
      .map((name) => ({ CN: [name] })),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value })))],
  })
  return Buffer.from(request.rawData)
}

/** By which an authority knows what it has given (RFC 9773 section 4.1); undefined: it has no such name. */
export function renewalIdOf(certificatePem: string): string | undefined {
  const certificate = new X509Certificate(certificatePem)
  const issuerKey = certificate.getExtension(AuthorityKeyIdentifierExtension)?.keyId
  if (issuerKey === undefined) return undefined
  // As a number that is not negative is written in DER.
  const serial = certificate.serialNumber
  const parts = [issuerKey, /^[89a-f]/i.test(serial) ? `00${serial}` : serial]
  return parts.map((hex) => Buffer.from(hex, 'hex').toString('base64url')).join('.')
}

/**
 * The certificate for a request. Who signs says what it holds: of the request only the key is taken, and the proof
 * that the sender has it. Fails with `bad_request`.
 */
export async function signCertificate(
  authority: KeyAndCertificate,
  requestPem: string,
  content: CertificateContent,
  nowMs: number,
): Promise<Result<string>> {
  const request = await checkedRequest(requestPem)
  if (!request.ok) return request
  const issuer = new X509Certificate(authority.certificatePem)
  const { keys } = await keyOf(authority.keyPem)
  const usages = content.purpose === 'host' ? [ExtendedKeyUsage.clientAuth] : []
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [content.name] }, { O: issuer.subjectName.getField('O') }],
    issuer: issuer.subjectName,
    notBefore: NOT_BEFORE,
    notAfter: new Date(Math.min(nowMs + HOST_LIFE_MS, issuer.notAfter.getTime())),
    publicKey: request.value.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ...usages]),
      new SubjectAlternativeNameExtension(
        [...new Set([content.name, ...content.names])].map((name) => ({
          type: isIP(name) === 0 ? 'dns' : 'ip',
          value: name,
        })),
      ),
      await SubjectKeyIdentifierExtension.create(request.value.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return ok(pem(certificate))
}

/** Key and certificate in one go, where the authority's key is at hand. */
export async function issueCertificate(
  authority: KeyAndCertificate,
  content: CertificateContent,
  nowMs: number,
): Promise<KeyAndCertificate> {
  const { keyPem, requestPem } = await createSigningRequest(content.name)
  const signed = await signCertificate(authority, requestPem, content, nowMs)
  if (!signed.ok) throw new Error(signed.error.message, { cause: signed.error })
  return { keyPem, certificatePem: signed.value }
}

/** The list of what is revoked (serial numbers, hexadecimal), as etcd reads it at each handshake. */
export async function createRevocationList(
  authority: KeyAndCertificate,
  serials: readonly string[],
  nowMs: number,
): Promise<string> {
  const issuer = new X509Certificate(authority.certificatePem)
  const { keys } = await keyOf(authority.keyPem)
  const list = await X509CrlGenerator.create({
    issuer: issuer.subject,
    thisUpdate: NOT_BEFORE,
    nextUpdate: issuer.notAfter,
    entries: serials.map((serialNumber) => ({
      serialNumber,
      revocationDate: new Date(nowMs),
      reason: X509CrlReason.cessationOfOperation,
    })),
    signingKey: keys.privateKey,
    signingAlgorithm: ALGORITHM,
  })
  // The library calls it `CRL`, which neither OpenSSL nor Go understands.
  return `${list.toString('pem').replaceAll(' CRL-----', ' X509 CRL-----')}\n`
}

async function checkedRequest(requestPem: string): Promise<Result<Pkcs10CertificateRequest>> {
  try {
    const request = new Pkcs10CertificateRequest(requestPem)
    const { name, namedCurve } = request.publicKey.algorithm as webcrypto.EcKeyAlgorithm
    if (name !== ALGORITHM.name || namedCurve !== ALGORITHM.namedCurve)
      return fail(failure('bad_request', 'The key of a host is an ECDSA key on the curve P-256'))
    if (await request.verify()) return ok(request)
    return fail(failure('bad_request', 'The signing request is not signed with its own key'))
  } catch (cause) {
    return fail(failure('bad_request', 'This is no signing request', { cause }))
  }
}

async function newKey(): Promise<{ readonly keyPem: string; readonly keys: webcrypto.CryptoKeyPair }> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: ALGORITHM.namedCurve })
  return keyOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
}

async function keyOf(keyPem: string): Promise<{ readonly keyPem: string; readonly keys: webcrypto.CryptoKeyPair }> {
  const key: KeyObject = createPrivateKey(keyPem)
  const { d: _secret, ...publicPart } = key.export({ format: 'jwk' })
  const { subtle } = webcrypto
  const privateKey = await subtle.importKey('jwk', key.export({ format: 'jwk' }), ALGORITHM, true, ['sign'])
  const publicKey = await subtle.importKey('jwk', publicPart, ALGORITHM, true, ['verify'])
  return { keyPem, keys: { privateKey, publicKey } }
}

/** Positive, and of full length: RFC 5280 allows 20 bytes. */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}
