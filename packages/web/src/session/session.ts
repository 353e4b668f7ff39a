/**
 * Who uses the interface, and by which client. People come by a cookie that no script can read; `auth.whoami` gives the
 * token that changes need beside it, to every tab and after every reload. An API token stays in memory and in this tab's
 * session storage only.
 */
import { createClient, type Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { WhoAmI } from '@stead/api/endpoints/access.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import { fetchTransport } from '@stead/api/transport.ts'
import type { Failure } from '@stead/core/errors.ts'
import { ok, type Result } from '@stead/core/result.ts'

const TOKEN_KEY = 'stead.token'
/** Written whenever this browser's cookie becomes another one. */
const SIGNED_KEY = 'stead.signed'

export interface Session {
  readonly who: WhoAmI
  /** Does what it is asked. */
  readonly client: Client
  /** Changes nothing: its answers say what a change would do. */
  readonly foreseeing: Client
  /** Does what somebody has seen the outcome of. */
  readonly foreseen: (outcomeToken: string) => Client
}

const here = () => ({ targets: [{ url: location.origin }], transport: fetchTransport() })

/** For who has not signed in yet. */
export function strangersClient(): Client {
  return createClient(here())
}

/** Undefined token: by the cookie, or as on a lab's loopback address, where nobody is asked. */
export async function openSession(token: string | undefined): Promise<Result<Session>> {
  const known = { ...here(), ...(token === undefined ? {} : { token }) }
  const who = await createClient(known).call(ENDPOINTS['auth.whoami'])
  if (!who.ok) return who
  if (token !== undefined) sessionStorage.setItem(TOKEN_KEY, token)
  const { forgeryToken } = who.value
  const base = { ...known, ...(forgeryToken === null ? {} : { forgeryToken }) }
  return ok({
    who: who.value,
    client: createClient(base),
    foreseeing: createClient({ ...base, whatIf: true }),
    foreseen: (outcomeToken) => createClient({ ...base, foreseen: outcomeToken }),
  })
}

/** The session that signing in, another password or another second factor has begun. */
export async function openSignedIn({ token }: SignInView): Promise<Result<Session>> {
  sessionStorage.removeItem(TOKEN_KEY)
  tellOtherTabs()
  return openSession(token ?? undefined)
}

/** The session of this tab, if its token or the browser's cookie still counts. */
export function resumeSession(): Promise<Result<Session>> {
  return openSession(sessionStorage.getItem(TOKEN_KEY) ?? undefined)
}

export async function endSession({ who, client }: Session): Promise<Result<void>> {
  if (who.kind === 'user') {
    const ended = await client.call(ENDPOINTS['auth.sign-out'])
    if (!ended.ok && !isSignInNeeded(ended.error)) return ended
  }
  sessionStorage.removeItem(TOKEN_KEY)
  tellOtherTabs()
  location.assign('/')
  return ok()
}

function tellOtherTabs(): void {
  localStorage.setItem(SIGNED_KEY, crypto.randomUUID())
}

/** The other tabs begin anew: whoever has signed in or out is not who they show, or has another token for changes. */
export function beginAnewWithOtherTabs(): void {
  addEventListener('storage', ({ key }) => {
    if (key === SIGNED_KEY && sessionStorage.getItem(TOKEN_KEY) === null) location.reload()
  })
}

export function isSignInNeeded(failure: Failure): boolean {
  return failure.code === 'unauthorized'
}
