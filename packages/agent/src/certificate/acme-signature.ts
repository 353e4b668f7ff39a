/** What is signed for an authority (RFC 8555 section 6, RFC 7515): who asks is an account, which is a key. */
import { createHash, createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'

/** Of an account or a certificate: P-256, which RFC 8555 demands of every authority. PKCS #8. */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

export interface SignedPart {
  readonly nonce: string
  readonly url: string
  /** The account's address; before it has one, the key itself is shown. */
  readonly account?: string
  /** Undefined: nothing is said, as when something is only looked at. */
  readonly payload: unknown
}

/** The body of a request. */
export function signedBody(keyPem: string, { nonce, url, account, payload }: SignedPart): string {
  const who = account === undefined ? { jwk: publicJwk(keyPem) } : { kid: account }
  const head = encoded(JSON.stringify({ alg: 'ES256', nonce, url, ...who }))
  const said = payload === undefined ? '' : encoded(JSON.stringify(payload))
  const signature = sign('sha256', Buffer.from(`${head}.${said}`), { key: keyPem, dsaEncoding: 'ieee-p1363' })
  return JSON.stringify({ protected: head, payload: said, signature: signature.toString('base64url') })
}

/** Says that who has this key is a customer whom the authority knows (section 7.3.4). */
export function externalBinding(
  keyPem: string,
  { keyId, hmacKey, url }: { readonly keyId: string; readonly hmacKey: string; readonly url: string },
): object {
  const head = encoded(JSON.stringify({ alg: 'HS256', kid: keyId, url }))
  const said = encoded(JSON.stringify(publicJwk(keyPem)))
  const signature = createHmac('sha256', Buffer.from(hmacKey, 'base64url')).update(`${head}.${said}`)
  return { protected: head, payload: said, signature: signature.digest('base64url') }
}

/** What the authority is to find where it looks: that this account's owner holds the place (section 8.1). */
export function keyAuthorization(keyPem: string, token: string): string {
  const thumbprint = createHash('sha256')
    .update(JSON.stringify(publicJwk(keyPem)))
    .digest('base64url')
  return `${token}.${thumbprint}`
}

/** The same for a record of DNS (section 8.4). */
export function recordText(authorization: string): string {
  return createHash('sha256').update(authorization).digest('base64url')
}

/** In the order in which RFC 7638 hashes them. */
function publicJwk(keyPem: string) {
  const { crv, kty, x, y } = createPublicKey(createPrivateKey(keyPem)).export({ format: 'jwk' })
  return { crv, kty, x, y }
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url')
}
