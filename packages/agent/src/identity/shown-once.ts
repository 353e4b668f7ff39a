/**
 * Secrets that are shown once, in the answer to the request that makes them: the store keeps only their digest. A request
 * that is sent again, since its answer was lost, is answered with the same secret: it is made of what the client alone
 * holds, its key, and of what only the store holds, the salt that was kept with the first request.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { RequestContext } from '../http/backend.ts'

/** What is shorter than a UUID could be found out by whoever has read the store. */
const KEY_LENGTH_MIN = 32

/** 256 bits. */
export function shownOnceBytes({ once, idempotencyKey = '' }: Pick<RequestContext, 'once' | 'idempotencyKey'>): Buffer {
  if (!once || idempotencyKey.length < KEY_LENGTH_MIN) return randomBytes(32)
  return createHmac('sha256', Buffer.from(once.salt, 'base64url')).update(idempotencyKey).digest()
}
