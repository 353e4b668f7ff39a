/** What stands between the API's server and the back end: who asks, and whether he may. */
import type { ApiServerOptions } from '../http/api-server.ts'
import type { ApiBackend } from '../http/backend.ts'
import { Sessions, type SessionsContext } from '../identity/sessions.ts'
import { auditedBackend, type AuditingContext } from './audited-backend.ts'
import { guardedBackend, type GuardContext } from './guarded-backend.ts'
import { TokenOwners, type TokenOwnersContext } from './token-owners.ts'

export function accessControl(
  backend: ApiBackend,
  context: GuardContext & TokenOwnersContext & SessionsContext & AuditingContext,
): Pick<ApiServerOptions, 'backend' | 'ownerOfToken' | 'ownerOfSession' | 'isKnownSecret'> {
  const tokens = new TokenOwners(context)
  const sessions = new Sessions(context)
  return {
    backend: auditedBackend(guardedBackend(backend, context), context),
    ownerOfToken: (token) => tokens.ownerOf(token),
    ownerOfSession: (secret, form) => sessions.ownerOf(secret, form),
    isKnownSecret: (secret) => sessions.isKnown(secret) || tokens.isKnown(secret),
  }
}
