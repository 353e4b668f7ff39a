/** What a host of the cluster shows of itself when a client comes to it for the first time. */
import { X509Certificate } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const PATIENCE_MS = 5_000

export interface ShownAuthority {
  /** Believed already: the machine knows the authority. */
  readonly believed: boolean
  /** The last of the chain that the host shows: the cluster's authority, or the host's own certificate. */
  readonly pem: string
  /** SHA-256 of it, upper-case pairs with colons. */
  readonly fingerprint: string
}

export function authorityShownBy(url: URL): Promise<Result<ShownAuthority>> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || 443
  return new Promise((resolve) => {
    const give = (result: Result<ShownAuthority>) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const unreachable = (why: string, cause?: unknown) =>
      give(fail(failure('host_unreachable', `${url.host} does not answer: ${why}`, { cause })))
    // Nothing is sent before what is shown here has been confirmed.
    const socket: TLSSocket = connect({ host, port, rejectUnauthorized: false }, () => {
      let shown = socket.getPeerCertificate(true)
      const seen = new Set<string>()
      while (shown.issuerCertificate && !seen.has(shown.fingerprint256)) {
        seen.add(shown.fingerprint256)
        shown = shown.issuerCertificate
      }
      const certificate = new X509Certificate(shown.raw)
      give(
        ok({
          ...{ believed: socket.authorized, pem: certificate.toString() },
          fingerprint: certificate.fingerprint256,
        }),
      )
    })
    const timer = setTimeout(() => unreachable(`nothing came for ${PATIENCE_MS} ms`), PATIENCE_MS)
    socket.once('error', (error) => unreachable(error.message, error))
  })
}

/** However it was written: with colons or without, in capitals or not, with `SHA256:` or not. */
export function sameFingerprint(one: string, other: string): boolean {
  const plain = (text: string) =>
    text
      .replace(/^sha-?256:/i, '')
      .replaceAll(/[:\s]/g, '')
      .toLowerCase()
  return plain(one) === plain(other)
}
