/**
 * Security keys and passkeys (WebAuthn): what a browser must be asked, and whether its answer is right. The library checks
 * signatures, the page's origin, the name that the key was made for, and the counter. It is loaded when it is needed.
 */
import { isIP } from 'node:net'
import type {
  AuthenticatorTransport,
  AuthenticationResponseJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export const KEYS_MAX = 16
/** EdDSA, ES256, RS256: what every key can, and Node without trying out what is experimental. */
const ALGORITHMS = [-8, -7, -257] as const

export interface SecurityKey {
  /** The credential's, base64url. */
  readonly id: string
  readonly name: string
  /** COSE, base64url. */
  readonly publicKey: string
  readonly counter: number
  readonly transports?: readonly string[]
  /** The name of the host under which it was added: browsers use it nowhere else. */
  readonly site: string
  readonly createdAt: number
  readonly usedAt?: number
}

/** Where a browser is. */
export interface KeySite {
  readonly origin: string
  readonly site: string
}

/** `known`: whoever holds the key has shown to it that it is his, by a PIN or a finger. */
export type Verification = 'present' | 'known'

export function keySite(origin: string | undefined): Result<KeySite> {
  const site = origin === undefined ? '' : new URL(origin).hostname.replace(/^\[|\]$/g, '')
  if (origin !== undefined && isIP(site) === 0) return ok({ origin, site })
  return fail(
    failure('conflict', 'Security keys are for hosts that are called by a name, not by an address', {
      hint: 'Open the web interface by the name that its certificate has',
    }),
  )
}

export async function optionsToAdd(
  user: { readonly name: string; readonly handle: Buffer },
  cluster: string,
  { site }: KeySite,
  known: readonly SecurityKey[],
) {
  const { generateRegistrationOptions } = await library()
  return generateRegistrationOptions({
    ...{ rpName: cluster, rpID: site, userName: user.name, userID: new Uint8Array(user.handle) },
    // What a key says of its maker is of no use here, and tells of its owner.
    attestationType: 'none',
    supportedAlgorithmIDs: [...ALGORITHMS],
    excludeCredentials: credentialsOf(known),
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
  })
}

/** Undefined: the answer is not one to this challenge, or not of this site. */
export async function keyAdded(
  response: unknown,
  challenge: string,
  { origin, site }: KeySite,
  name: string,
  wallMs: number,
): Promise<SecurityKey | undefined> {
  const { verifyRegistrationResponse } = await library()
  try {
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: response as RegistrationResponseJSON,
      ...{ expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: site, requireUserVerification: false },
      supportedAlgorithmIDs: [...ALGORITHMS],
    })
    if (!verified) return undefined
    const { id, publicKey, counter, transports } = registrationInfo.credential
    return {
      ...{ id, name, counter, site, createdAt: wallMs, publicKey: Buffer.from(publicKey).toString('base64url') },
      ...(transports ? { transports } : {}),
    }
  } catch {
    return undefined
  }
}

/** `known`: of whom the key must be one; undefined: whoever it is shows it by himself. */
export async function optionsToShow(known: readonly SecurityKey[] | undefined, { site }: KeySite) {
  const { generateAuthenticationOptions } = await library()
  return generateAuthenticationOptions({
    rpID: site,
    ...(known ? { allowCredentials: credentialsOf(known.filter((key) => key.site === site)) } : {}),
    userVerification: known ? 'preferred' : 'required',
  })
}

/** The keys once one was used; undefined: the answer is not right. */
export async function afterKey(
  keys: readonly SecurityKey[],
  response: unknown,
  challenge: string,
  { origin, site }: KeySite,
  verification: Verification,
  wallMs: number,
): Promise<readonly SecurityKey[] | undefined> {
  const answer = response as AuthenticationResponseJSON
  const key = keys.find(({ id }) => id === answer.id)
  if (!key) return undefined
  const { verifyAuthenticationResponse } = await library()
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      ...{ response: answer, expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: site },
      credential: {
        id: key.id,
        publicKey: new Uint8Array(Buffer.from(key.publicKey, 'base64url')),
        counter: key.counter,
      },
      requireUserVerification: verification === 'known',
    })
    if (!verified) return undefined
    const used = { ...key, counter: authenticationInfo.newCounter, usedAt: wallMs }
    return keys.map((one) => (one === key ? used : one))
  } catch {
    return undefined
  }
}

function credentialsOf(keys: readonly SecurityKey[]) {
  return keys.map(({ id, transports }) => ({
    id,
    ...(transports ? { transports: [...transports] as AuthenticatorTransport[] } : {}),
  }))
}

const library = () => import('@simplewebauthn/server')
