/** Who asks: by the socket that he comes by, or by what he shows. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { Principal, SignInSession } from '@stead/core/model/access.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { forgeryToken } from '../identity/sessions.ts'
import { cookieOf, SESSION_COOKIE } from './cookies.ts'

export interface Identification {
  /** Whose root comes by the unix socket, or with the cluster's own token. */
  readonly host: string
  /** The cluster's own token. */
  readonly token?: string
  /** Whose API token this is; absent: only the cluster's own counts. Fails with `unauthorized`. */
  readonly ownerOfToken?: (token: string) => Promise<Result<Principal>>
  readonly ownerOfSession?: (secret: string, form: SignInSession['form']) => Promise<Result<Principal>>
  /** Whether this was found to be good before, so that looking it up costs little. */
  readonly isKnownSecret?: (secret: string) => boolean
}

const FORGERY_HEADER = 'x-stead-forgery-token'
const SESSION_PREFIX = 'stead-session-'
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** Whoever has been here before does not wait for those who try tokens and passwords out at the same address. */
export function isKnown(headers: IncomingHttpHeaders, { token, isKnownSecret }: Identification): boolean {
  const shown = bearerOf(headers) ?? cookieOf(headers.cookie, SESSION_COOKIE)
  if (shown === undefined) return false
  return (token !== undefined && sameSecret(shown, token)) || isKnownSecret?.(shown) === true
}

export async function identify(
  { headers, method }: Pick<FastifyRequest, 'headers' | 'method'>,
  via: 'unix' | 'tcp',
  options: Identification,
): Promise<Result<Principal>> {
  const { host, token, ownerOfToken, ownerOfSession } = options
  const root: Principal = { kind: 'root', host }
  if (via === 'unix') return ok(root)
  const shown = bearerOf(headers)
  if (shown !== undefined) {
    if (token !== undefined && sameSecret(shown, token)) return ok(root)
    if (shown.startsWith(SESSION_PREFIX)) return ownerOfSession?.(shown, 'token') ?? fail(UNKNOWN)
    return (shown.startsWith('stead-') ? ownerOfToken?.(shown) : undefined) ?? fail(UNKNOWN)
  }
  if (headers.authorization !== undefined) return fail(UNKNOWN)
  const secret = cookieOf(headers.cookie, SESSION_COOKIE)
  if (secret === undefined || !ownerOfSession) return fail(NOTHING_SHOWN)
  // A browser sends the cookie by itself, also with what another site's page makes it ask.
  const forgery = headers[FORGERY_HEADER]
  if (!SAFE_METHODS.has(method) && !(typeof forgery === 'string' && sameSecret(forgery, forgeryToken(secret))))
    return fail(FORGED)
  return ownerOfSession(secret, 'cookie')
}

/** Browsers say with every change and every WebSocket which site's page asks. */
export function foreignOrigin({ origin, host }: IncomingHttpHeaders, method: string): Failure | undefined {
  if (origin === undefined || SAFE_METHODS.has(method) || isOwn(origin, host)) return undefined
  return FOREIGN
}

/** Whatever the method: browsers tell by one header or the other; programs send neither. */
export function isAskedElsewhere({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (origin !== undefined && !isOwn(origin, host)) return true
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

export function isOwn(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host
}

function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  return /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1]
}

/** In constant time, whatever the lengths. */
export function sameSecret(shown: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(shown), digest(right))
}

const HINT = { hint: 'Sign in with `stead login`, or send `Authorization: Bearer TOKEN`' }
const NOTHING_SHOWN = failure('unauthorized', 'The request has no token', HINT)
const UNKNOWN = failure('unauthorized', 'The token is not the right one', HINT)
const FORGED = failure('forbidden', 'The change does not come from a page of this cluster', {
  hint: 'Send the header X-Stead-Forgery-Token with what signing in, or GET /v1/auth/whoami, has answered',
})
export const FOREIGN = failure('forbidden', "Another site's page asks for this", {
  hint: "Open the cluster's own web interface",
})
