/** Who asks: by the socket that he comes by, or by what he shows. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { failure } from '@stead/core/errors.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface Identification {
  /** Whose root comes by the unix socket, or with the cluster's own token. */
  readonly host: string
  /** The cluster's own token. */
  readonly token?: string
  /** Whose API token this is; absent: only the cluster's own counts. Fails with `unauthorized`. */
  readonly ownerOfToken?: (token: string) => Promise<Result<Principal>>
  /** Whether this was found to be good before, so that looking it up costs little. */
  readonly isKnownToken?: (token: string) => boolean
}

/** Whoever has been here before does not wait for those who try tokens and passwords out at the same address. */
export function isKnown(headers: IncomingHttpHeaders, { token, isKnownToken }: Identification): boolean {
  const shown = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1]
  if (shown === undefined) return false
  return (token !== undefined && sameSecret(shown, token)) || isKnownToken?.(shown) === true
}

export async function identify(
  { headers }: Pick<FastifyRequest, 'headers'>,
  via: 'unix' | 'tcp',
  { host, token, ownerOfToken }: Identification,
): Promise<Result<Principal>> {
  const root: Principal = { kind: 'root', host }
  if (via === 'unix') return ok(root)
  const shown = headers.authorization
  if (token !== undefined && shown !== undefined && sameSecret(shown, `Bearer ${token}`)) return ok(root)
  const own = /^Bearer (stead-\S+)$/.exec(shown ?? '')?.[1]
  if (own !== undefined && ownerOfToken) return ownerOfToken(own)
  return fail(
    failure('unauthorized', shown === undefined ? 'The request has no token' : 'The token is not the right one', {
      hint: 'Send `Authorization: Bearer TOKEN`; the context file holds the token.',
    }),
  )
}

/** In constant time, whatever the lengths. */
export function sameSecret(shown: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(shown), digest(right))
}
