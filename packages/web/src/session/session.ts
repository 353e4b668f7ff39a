/** Who uses the interface, and by which client. A token stays in memory and in this tab's session storage only. */
import { createClient, type Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { WhoAmI } from '@stead/api/endpoints/access.ts'
import { fetchTransport } from '@stead/api/transport.ts'
import type { Failure } from '@stead/core/errors.ts'
import { ok, type Result } from '@stead/core/result.ts'

const TOKEN_KEY = 'stead.token'

export interface Session {
  readonly who: WhoAmI
  /** Does what it is asked. */
  readonly client: Client
  /** Changes nothing: its answers say what a change would do. */
  readonly foreseeing: Client
  /** Does what somebody has seen the outcome of. */
  readonly foreseen: (outcomeToken: string) => Client
}

/** Undefined token: as on a lab's loopback address, where nobody is asked. */
export async function openSession(token: string | undefined): Promise<Result<Session>> {
  const base = {
    targets: [{ url: location.origin }],
    transport: fetchTransport(),
    ...(token === undefined ? {} : { token }),
  }
  const client = createClient(base)
  const who = await client.call(ENDPOINTS['auth.whoami'])
  if (!who.ok) return who
  if (token !== undefined) sessionStorage.setItem(TOKEN_KEY, token)
  return ok({
    who: who.value,
    client,
    foreseeing: createClient({ ...base, whatIf: true }),
    foreseen: (outcomeToken) => createClient({ ...base, foreseen: outcomeToken }),
  })
}

/** The session of this tab, if its token still counts. */
export function resumeSession(): Promise<Result<Session>> {
  return openSession(sessionStorage.getItem(TOKEN_KEY) ?? undefined)
}

export function endSession(): void {
  sessionStorage.removeItem(TOKEN_KEY)
  location.assign('/')
}

export function isSignInNeeded(failure: Failure): boolean {
  return failure.code === 'unauthorized'
}
