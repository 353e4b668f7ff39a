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
