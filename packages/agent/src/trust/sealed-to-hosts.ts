/**
 * What the store keeps for some hosts and not for everybody who reads it: a JSON Web Encryption (RFC 7516) for the key
 * of each host's certificate, by ECDH-ES with AES. The library is loaded when it is needed.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const KEY_AGREEMENT = 'ECDH-ES+A256KW'
const CIPHER = 'A256GCM'

export interface SealedFor {
  readonly host: string
  /** PEM. Whose it is, and who has signed it, is the caller's to check. */
  readonly certificate: string
}

/** A text that each of the hosts, of which there must be one, reads with its own key, and nobody else. */
export async function sealToHosts(recipients: readonly SealedFor[], value: unknown): Promise<string> {
  const { GeneralEncrypt } = await import('jose')
  const sealing = new GeneralEncrypt(Buffer.from(JSON.stringify(value))).setProtectedHeader({ enc: CIPHER })
  for (const { host, certificate } of recipients)
    sealing
      .addRecipient(new X509Certificate(certificate).publicKey)
      .setUnprotectedHeader({ alg: KEY_AGREEMENT, kid: host })
  return JSON.stringify(await sealing.encrypt())
}

/** Fails with `forbidden` when it was not written for this host, or was changed. */
export async function openSealed(sealed: string, host: string, keyPem: string): Promise<Result<unknown>> {
  const { generalDecrypt } = await import('jose')
  try {
    const message = JSON.parse(sealed) as Parameters<typeof generalDecrypt>[0]
    const recipients = message.recipients.filter(({ header }) => header?.kid === host)
    const opened = await generalDecrypt({ ...message, recipients }, createPrivateKey(keyPem), {
      keyManagementAlgorithms: [KEY_AGREEMENT],
      contentEncryptionAlgorithms: [CIPHER],
    })
    return ok(JSON.parse(Buffer.from(opened.plaintext).toString()))
  } catch (cause) {
    return fail(failure('forbidden', `This is nothing that ${host} can read`, { cause }))
  }
}
