/** What a request's head says beside its path: who comes, and on which conditions. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { FORESEEN_HEADER, WHAT_IF_HEADER } from '@stead/api/foresight-headers.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { RequestContext, Visitor } from './backend.ts'
import { cookieOf, DEVICE_COOKIE, REALM_COOKIE, SESSION_COOKIE, setCookieHeader } from './cookies.ts'
import { isAskedElsewhere } from './identify.ts'

const KEY_LENGTH_MAX = 128

export function contextOf(
  request: FastifyRequest,
  reply: FastifyReply,
  principal: Principal,
  via: 'unix' | 'tcp',
  closing: AbortSignal,
): RequestContext {
  const gone = new AbortController()
  // The response's `close` comes when the client leaves as well as after the last byte, when nobody listens.
  reply.raw.once('close', () => gone.abort())
  const key = request.headers['idempotency-key']
  const ifMatch = request.headers['if-match']
  const foreseen = request.headers[FORESEEN_HEADER]
  if (typeof key === 'string' && (key === '' || key.length > KEY_LENGTH_MAX)) {
    throw new FailureError(failure('bad_request', `The Idempotency-Key must have 1 to ${KEY_LENGTH_MAX} characters`))
  }
  return {
    principal,
    visitor: visitorOf(request, reply, via),
    signal: AbortSignal.any([gone.signal, closing]),
    ...(typeof key === 'string' ? { idempotencyKey: key } : {}),
    ...(request.headers[WHAT_IF_HEADER] === undefined ? {} : { whatIf: true }),
    ...(typeof foreseen === 'string' ? { foreseen } : {}),
    ...(ifMatch === undefined ? {} : { ifMatch: readIfMatch(ifMatch) }),
  }
}

const ENTITY_TAGS = /^(W\/)?"\d{1,20}"(\s*,\s*(W\/)?"\d{1,20}")*$/

function readIfMatch(header: string): readonly string[] | '*' {
  if (header.trim() === '*') return '*'
  if (ENTITY_TAGS.test(header.trim())) return header.match(/\d+/g) ?? []
  const hint = 'Send the ETag of an answer as it came: `If-Match: "1234"`.'
  throw new FailureError(failure('bad_request', 'The If-Match header cannot be read', { hint }))
}

function visitorOf({ headers, protocol, socket }: FastifyRequest, reply: FastifyReply, via: 'unix' | 'tcp'): Visitor {
  const client = headers['user-agent'] ?? ''
  if (via === 'unix') return { address: 'local', client }
  const session = cookieOf(headers.cookie, SESSION_COOKIE)
  const device = cookieOf(headers.cookie, DEVICE_COOKIE)
  const realmSignIn = cookieOf(headers.cookie, REALM_COOKIE)
  const origin = `${protocol}://${headers.host ?? ''}`
  return {
    address: socket.remoteAddress ?? 'local',
    client,
    ...(session === undefined ? {} : { session }),
    ...(device === undefined ? {} : { device }),
    ...(realmSignIn === undefined ? {} : { realmSignIn }),
    ...(URL.canParse(origin) ? { origin: new URL(origin).origin } : {}),
    isElsewhere: isAskedElsewhere(headers),
    setCookie: (name, value, maxAgeS) => void reply.header('set-cookie', setCookieHeader(name, value, maxAgeS)),
  }
}
