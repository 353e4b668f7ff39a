/** A real OpenID provider for tests: on loopback, over TLS, with accounts whose password is whatever is typed. */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'
import type { EndsLater } from '../../backend/backend-fixture.ts'
import type { ServerCertificate } from '../../http/api-server.ts'
import { realmFetch } from './realm-fetch.ts'

export interface OpenIdAccount {
  readonly sub: string
  readonly preferred_username?: string
  readonly name?: string
  readonly email?: string
  readonly email_verified?: boolean
  readonly groups?: readonly string[]
}

export const CLIENT = { id: 'stead', secret: 'a secret of the client & more' } as const

const STEPS_MAX = 12

export class OpenIdProvider {
  /** By what is typed as the name. */
  readonly accounts = new Map<string, OpenIdAccount>()
  readonly issuer: string
  /** Every address that it was asked for, with its query. */
  readonly asked: string[]

  private constructor(issuer: string, asked: string[]) {
    this.issuer = issuer
    this.asked = asked
  }

  static async start(
    context: EndsLater,
    { certificate, key }: ServerCertificate,
    redirectUris: readonly string[],
  ): Promise<OpenIdProvider> {
    const server = createServer({ cert: certificate, key })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const asked: string[] = []
    const self = new OpenIdProvider(`https://127.0.0.1:${(server.address() as AddressInfo).port}`, asked)
    const provider = new Provider(self.issuer, {
      clients: [
        {
          ...{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [...redirectUris] },
          ...{ grant_types: ['authorization_code'], response_types: ['code'] },
        },
      ],
      claims: {
        openid: ['sub'],
        profile: ['preferred_username', 'name', 'groups'],
        email: ['email', 'email_verified'],
      },
      cookies: { keys: ['only for tests'] },
      // Its access tokens and sessions end with it.
      ttl: { AccessToken: 600, Session: 600, Interaction: 600, Grant: 600, IdToken: 600, AuthorizationCode: 60 },
      findAccount: (_request, name) => {
        const account = self.accounts.get(name)
        return account && { accountId: name, claims: () => ({ ...account, groups: [...(account.groups ?? [])] }) }
      },
    })
    const answer = provider.callback()
    server.on('request', (request, response) => {
      asked.push(request.url ?? '')
      void answer(request, response)
    })
    context.after(() => {
      server.closeAllConnections()
      server.close()
    })
    return self
  }
}

/** Does in the provider's pages what somebody does in a browser. The value is the query with which it sends him back. */
export async function signInAt(url: string, redirectUri: string, name: string, authority: string): Promise<string> {
  const ask = realmFetch(authority)
  const cookies = new Map<string, string>()
  let next: { url: string; body?: URLSearchParams } = { url }
  for (let step = 0; step < STEPS_MAX; step++) {
    if (next.url.startsWith(redirectUri)) return new URL(next.url).search
    const { body } = next
    const answer = await ask(next.url, {
      method: body ? 'POST' : 'GET',
      headers: {
        cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join('; '),
        ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
      ...(body ? { body } : {}),
    })
    for (const [, key = '', value = ''] of (answer.headers.get('set-cookie') ?? '').matchAll(/(_[\w.]+)=([^;,]*);/g))
      cookies.set(key, value)
    const location = answer.headers.get('location')
    const page = await answer.text()
    const [, action] = /action="([^"]+)"/.exec(page) ?? []
    const [, prompt = ''] = /name="prompt" value="([^"]+)"/.exec(page) ?? []
    if (location !== null) next = { url: new URL(location, next.url).href }
    else if (action !== undefined) {
      const fields = prompt === 'login' ? { prompt, login: name, password: 'whatever' } : { prompt }
      next = { url: new URL(action, next.url).href, body: new URLSearchParams(fields) }
    } else throw new Error(`the provider shows no form: ${answer.status} ${page.slice(0, 500)}`)
  }
  throw new Error('the provider does not come to an end')
}
