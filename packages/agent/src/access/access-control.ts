/** What stands between the API's server and the back end: who asks, and whether he may. */
import type { ApiServerOptions } from '../http/api-server.ts'
import type { ApiBackend } from '../http/backend.ts'
import { guardedBackend, type GuardContext } from './guarded-backend.ts'
import { TokenOwners, type TokenOwnersContext } from './token-owners.ts'

export function accessControl(
  backend: ApiBackend,
  context: GuardContext & TokenOwnersContext,
): Pick<ApiServerOptions, 'backend' | 'ownerOfToken' | 'isKnownToken'> {
  const tokens = new TokenOwners(context)
  return {
    backend: guardedBackend(backend, context),
    ownerOfToken: (token) => tokens.ownerOf(token),
    isKnownToken: (token) => tokens.isKnown(token),
  }
}
