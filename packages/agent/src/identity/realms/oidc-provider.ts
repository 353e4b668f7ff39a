/** An OpenID provider, asked by the authorization code flow with PKCE. The library checks signatures, issuer, audience, nonce and state. */
import type { ClientAuth, Configuration } from 'openid-client'
import { failure } from '@stead/core/errors.ts'
import { localPart } from '@stead/core/access/realm-user.ts'
import type { OidcService, Realm, RealmIdentity } from '@stead/core/model/realm.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { realmFetch } from './realm-fetch.ts'

/** What the provider says of itself is asked for again after this long; its keys whenever an unknown one signs. */
const KEPT_MS = 10 * 60_000

/** What only who has begun the sign-in knows. */
export interface OidcBeginning {
  readonly realm: string
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly redirectUri: string
}

type OidcRealm = Realm & { readonly service: OidcService }

export class OidcProviders {
  readonly #known = new Map<
    string,
    { readonly service: OidcService; readonly untilMs: number; config: Configuration }
  >()
  readonly #clock: { monotonicMs(): number }

  constructor(clock: { monotonicMs(): number }) {
    this.#clock = clock
  }

  async begin(
    realm: OidcRealm,
    redirectUri: string,
    statePrefix: string,
  ): Promise<Result<{ readonly url: string; readonly beginning: OidcBeginning }>> {
    const oidc = await library()
    const config = await this.#configOf(realm)
    if (!config.ok) return config
    const beginning = {
      ...{ realm: realm.name, redirectUri, state: `${statePrefix}${oidc.randomState()}` },
      ...{ nonce: oidc.randomNonce(), verifier: oidc.randomPKCECodeVerifier() },
    }
    const url = oidc.buildAuthorizationUrl(config.value, {
      ...{ redirect_uri: redirectUri, scope: realm.service.scope, state: beginning.state, nonce: beginning.nonce },
      code_challenge: await oidc.calculatePKCECodeChallenge(beginning.verifier),
      code_challenge_method: 'S256',
    })
    return ok({ url: url.href, beginning })
  }

  /** `answer`: the query with which it has sent the browser back. */
  async finish(realm: OidcRealm, beginning: OidcBeginning, answer: string): Promise<Result<RealmIdentity>> {
    const oidc = await library()
    const config = await this.#configOf(realm)
    if (!config.ok) return config
    const back = new URL(beginning.redirectUri)
    back.search = answer
    try {
      const tokens = await oidc.authorizationCodeGrant(config.value, back, {
        ...{ pkceCodeVerifier: beginning.verifier, expectedState: beginning.state, expectedNonce: beginning.nonce },
        idTokenExpected: true,
      })
      const claims = tokens.claims() ?? { sub: '' }
      const { userinfo_endpoint: more } = config.value.serverMetadata()
      const told =
        more === undefined ? undefined : await oidc.fetchUserInfo(config.value, tokens.access_token, claims.sub)
      return identityOf(realm, { ...told, ...claims })
    } catch (error) {
      return fail(whyRefused(realm.name, error))
    }
  }

  /** Whether it answers, and has keys. The value is who has answered. */
  async test(realm: OidcRealm): Promise<Result<string>> {
    this.#known.delete(realm.name)
    const config = await this.#configOf(realm)
    if (!config.ok) return config
    const { jwks_uri: keys, issuer } = config.value.serverMetadata()
    try {
      const answer = await realmFetch(realm.service.authority)(keys ?? '')
      if (answer.status === 200) return ok(issuer)
      return fail(failure('realm_unreachable', `${realm.name} answers ${answer.status} when it is asked for its keys`))
    } catch (cause) {
      return fail(unreachable(realm.name, cause))
    }
  }

  async #configOf({ name, service }: OidcRealm): Promise<Result<Configuration>> {
    const now = this.#clock.monotonicMs()
    const known = this.#known.get(name)
    if (known && known.service === service && now < known.untilMs) return ok(known.config)
    const oidc = await library()
    const { clientId, clientSecret, issuer, authority } = service
    try {
      const config = await oidc.discovery(new URL(issuer), clientId, undefined, clientAuth(oidc, clientSecret), {
        [oidc.customFetch]: realmFetch(authority),
      })
      this.#known.set(name, { service, untilMs: now + KEPT_MS, config })
      return ok(config)
    } catch (cause) {
      return fail(unreachable(name, cause))
    }
  }
}

type Library = typeof import('openid-client')

/** When it is first needed: most clusters have no such realm. */
const library = (): Promise<Library> => import('openid-client')

/** What RFC 8414 says of a provider that does not say how it wants the secret: as HTTP's own authentication. */
function clientAuth(oidc: Library, secret: string | undefined): ClientAuth {
  if (secret === undefined) return oidc.None()
  return (server, ...rest) => {
    const ways = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const way = ways.includes('client_secret_basic') ? oidc.ClientSecretBasic(secret) : oidc.ClientSecretPost(secret)
    return way(server, ...rest)
  }
}

function identityOf(
  { name: realm, service }: OidcRealm,
  claims: Readonly<Record<string, unknown>>,
): Result<RealmIdentity> {
  const shown = claims[service.userClaim]
  if (typeof shown !== 'string' || shown === '')
    return fail(
      failure('forbidden', `${realm} does not say who you are: the claim ${service.userClaim} is missing`, {
        hint: `An administrator can ask for more with \`stead realm set ${realm} --scope\`, or name another claim with --user-claim`,
      }),
    )
  // Whoever may write any address into his profile must not become who has it.
  if (service.userClaim === 'email' && claims['email_verified'] !== true)
    return fail(
      failure('forbidden', `${realm} has not verified that ${shown} is yours`, { hint: 'Have it verified there' }),
    )
  const name = localPart(shown, service.domain)
  if (!name.ok) return name
  const { name: fullName, email, sub } = claims
  return ok({
    name: name.value,
    groups: textsOf(claimNamed(claims, service.groupsClaim)),
    ...(typeof sub === 'string' ? { subject: sub } : {}),
    ...(typeof fullName === 'string' ? { fullName: fullName.slice(0, 200) } : {}),
    ...(typeof email === 'string' ? { email: email.slice(0, 254) } : {}),
  })
}

/** By its name; else by what its name says between dots, as Keycloak nests `realm_access.roles`. */
function claimNamed(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  return name.split('.').reduce<unknown>((value, part) => {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, part)
      ? (value as Record<string, unknown>)[part]
      : undefined
  }, claims)
}

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}

function unreachable(realm: string, cause: unknown) {
  return failure('realm_unreachable', `${realm} does not answer as an OpenID provider: ${reasonOf(cause)}`, { cause })
}

/** The provider's own words are for the log: they come through the browser. */
function whyRefused(realm: string, error: unknown) {
  const { code, error: refusal } = error as { code?: string; error?: string }
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR')
    return failure('forbidden', `${realm} has not let you in: ${word(refusal)}`, { cause: error, hint: 'Try again' })
  if (code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' || refusal === 'invalid_client')
    return failure('unauthorized', `${realm} does not take this cluster for its client`, {
      cause: error,
      hint: `An administrator must set the client secret anew: \`stead realm set ${realm} --secret\``,
    })
  if (code === 'OAUTH_RESPONSE_BODY_ERROR')
    return failure('unauthorized', `${realm} does not accept its own answer: ${word(refusal)}`, {
      ...{ cause: error, hint: 'The answer was used already, or is too old: sign in again' },
    })
  if (code === undefined || !code.startsWith('OAUTH_')) return unreachable(realm, error)
  return failure('unauthorized', `The answer of ${realm} cannot be believed`, { cause: error, hint: 'Sign in again' })
}

function word(text: string | undefined): string {
  return /^[a-z_]{1,60}$/.test(text ?? '') ? String(text) : 'an error'
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? `${message}: ${cause.message}` : message
}
