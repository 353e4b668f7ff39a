/** What certificates say, by Node's own means. */
import { X509Certificate } from 'node:crypto'

export interface CertificateFacts {
  /** Of a host: its id. */
  readonly name: string
  /** Lower-case hexadecimal. */
  readonly serial: string
  readonly notAfterMs: number
  /** SHA-256 of the whole certificate, lower-case hexadecimal. */
  readonly fingerprint: string
}

/** Throws when the text is no certificate. */
export function readCertificate(pem: string): CertificateFacts {
  const certificate = new X509Certificate(pem)
  return {
    name: commonName(certificate.subject),
    serial: certificate.serialNumber.toLowerCase(),
    notAfterMs: certificate.validToDate.getTime(),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

function commonName(subject: string): string {
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? ''
}

/** Whether it is a certificate of that host, signed by one of these authorities, and not revoked. */
export function isCertificateOf(
  host: string,
  pem: string,
  authoritiesPem: string,
  isRevoked: (serial: string) => boolean,
): boolean {
  try {
    const certificate = new X509Certificate(pem)
    if (commonName(certificate.subject) !== host || isRevoked(certificate.serialNumber)) return false
    return splitCertificates(authoritiesPem).some((text) => {
      const authority = new X509Certificate(text)
      return certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
    })
  } catch {
    return false
  }
}

/** A file may hold several. */
export function splitCertificates(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
}
