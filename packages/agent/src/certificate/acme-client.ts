/**
 * Speaks with an authority by ACME (RFC 8555). Each call is one exchange: what lies between them is in the store, so that
 * another host can go on. docs/internals/certificate.md; why no library: docs/dependencies.md.
 */
import { X509Certificate } from 'node:crypto'
import { failure, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { z } from 'zod'
import { guardedRequest, type OutboundAnswer, type OutboundGuard } from '../outbound/guarded-request.ts'
import { externalBinding, signedBody } from './acme-signature.ts'
import { acmeProblem, retryAfterMs } from './acme-problem.ts'

const ANSWER_BYTES_MAX = 256 * 1024
/** A nonce is good for a while, and once; the authority may refuse any. */
const NONCE_TRIES = 8

const url = z.string().startsWith('https://')
const directory = z.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  revokeCert: url,
  renewalInfo: url.optional().catch(undefined),
  meta: z
    .object({
      termsOfService: z.string().optional().catch(undefined),
      website: z.string().optional().catch(undefined),
      externalAccountRequired: z.boolean().optional().catch(undefined),
    })
    .catch({})
    .default({}),
})
export type AcmeDirectory = z.output<typeof directory>

const problem = z.object({ type: z.string().default(''), detail: z.string().default('') }).loose()
export type AcmeProblemDocument = z.output<typeof problem>

const identifier = z.object({ type: z.string(), value: z.string() })
const order = z.object({
  status: z.enum(['pending', 'ready', 'processing', 'valid', 'invalid']),
  authorizations: z.array(url).max(100),
  finalize: url,
  certificate: url.optional(),
  error: problem.optional(),
})
export type AcmeOrder = z.output<typeof order>
const challenge = z.object({
  type: z.string(),
  url,
  status: z.string().default('pending'),
  token: z
    .string()
    .regex(/^[A-Za-z0-9_-]{16,256}$/)
    .default(''),
  error: problem.optional(),
})
const authorization = z.object({
  status: z.string(),
  identifier,
  wildcard: z.boolean().default(false),
  challenges: z.array(challenge),
})
export type AcmeAuthorization = z.output<typeof authorization>
const renewalInfo = z.object({ suggestedWindow: z.object({ start: z.string(), end: z.string() }) })

export interface AcmeClientOptions {
  readonly directoryUrl: string
  /** By whom its own certificate is believed, PEM. */
  readonly ca?: string
  readonly accountKeyPem: string
  readonly guard: OutboundGuard
}

export interface Answered<T> {
  readonly value: T
  /** Its own address, where the authority has named it. */
  readonly location?: string
  /** How long the authority wants to be left alone, ms. */
  readonly retryAfterMs?: number
}

export class AcmeClient {
  readonly #options: AcmeClientOptions
  #directory: AcmeDirectory | undefined
  #nonce: string | undefined
  #account: string | undefined

  constructor(options: AcmeClientOptions) {
    this.#options = options
  }

  async directory(): Promise<Result<AcmeDirectory>> {
    if (this.#directory) return ok(this.#directory)
    const answer = await this.#send('GET', this.#options.directoryUrl)
    if (!answer.ok) return answer
    const read = answer.value.status === 200 ? directory.safeParse(parsed(answer.value.body)) : undefined
    if (!read?.success)
      return fail(
        failure('bad_request', `${this.#options.directoryUrl} is no directory of an ACME authority`, {
          hint: "Look the address up in the authority's documentation; it mostly ends in /directory",
        }),
      )
    this.#directory = read.data
    return ok(read.data)
  }

  /** The same key has the same account, however often it is asked for. */
  async signIn(asked: {
    readonly email?: string
    readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string }
  }): Promise<Result<void>> {
    if (this.#account !== undefined) return ok()
    const known = await this.directory()
    if (!known.ok) return known
    const { newAccount, meta } = known.value
    if (meta.externalAccountRequired === true && !asked.externalAccount)
      return fail(
        failure('bad_request', 'The authority gives certificates only to accounts that it knows from elsewhere', {
          hint: 'Give the key that it has shown you: --external-account-id and --external-account-key-file',
        }),
      )
    const binding = asked.externalAccount
      ? {
          externalAccountBinding: externalBinding(this.#options.accountKeyPem, {
            ...asked.externalAccount,
            url: newAccount,
          }),
        }
      : {}
    const answer = await this.#ask(newAccount, {
      termsOfServiceAgreed: true,
      ...(asked.email === undefined ? {} : { contact: [`mailto:${asked.email}`] }),
      ...binding,
    })
    if (!answer.ok) return answer
    const { location } = answer.value.headers
    if (location === undefined) return fail(notUnderstood('the account'))
    this.#account = location
    return ok()
  }

  /**
   * `replaced`: the id of the certificate in whose place it comes. An authority that has told when to renew it then counts the
   * order as a renewal, outside of its limits. It may be of another authority or account, or replaced already: one that refuses it
   * is asked for an order like any other.
   */
  async newOrder(names: readonly string[], replaced?: string): Promise<Result<Answered<AcmeOrder>>> {
    const known = await this.directory()
    if (!known.ok) return known
    const { newOrder, renewalInfo: tellsWhen } = known.value
    const wanted = { identifiers: names.map((value) => ({ type: 'dns', value })) }
    if (replaced !== undefined && tellsWhen !== undefined) {
      const renewal = await this.#told(newOrder, { ...wanted, replaces: replaced }, order, 'the order')
      if (renewal.ok || renewal.error.code !== 'conflict') return renewal
    }
    return this.#told(newOrder, wanted, order, 'the order')
  }

  order(orderUrl: string): Promise<Result<Answered<AcmeOrder>>> {
    return this.#told(orderUrl, undefined, order, 'the order')
  }

  authorization(authorizationUrl: string): Promise<Result<Answered<AcmeAuthorization>>> {
    return this.#told(authorizationUrl, undefined, authorization, 'an authorization')
  }

  /** That it may look now. */
  ready(challengeUrl: string): Promise<Result<Answered<unknown>>> {
    return this.#told(challengeUrl, {}, challenge, 'a challenge')
  }

  finalize(finalizeUrl: string, requestDer: Buffer): Promise<Result<Answered<AcmeOrder>>> {
    return this.#told(finalizeUrl, { csr: requestDer.toString('base64url') }, order, 'the order')
  }

  /** PEM, its own certificate first. */
  async certificate(certificateUrl: string): Promise<Result<string>> {
    const answer = await this.#ask(certificateUrl, undefined)
    return answer.ok ? ok(answer.value.body) : answer
  }

  async revoke(certificatePem: string): Promise<Result<void>> {
    const known = await this.directory()
    if (!known.ok) return known
    const certificate = new X509Certificate(certificatePem).raw.toString('base64url')
    const answer = await this.#ask(known.value.revokeCert, { certificate })
    if (answer.ok || problem.safeParse(answer.error.cause).data?.type.endsWith(':alreadyRevoked')) return ok()
    return answer
  }

  /** When the authority would have the certificate renewed (RFC 9773); undefined: it has no opinion. */
  async renewalWindow(certificateId: string) {
    const known = await this.directory()
    if (!known.ok) return known
    if (known.value.renewalInfo === undefined) return ok(undefined)
    const answer = await this.#send('GET', `${known.value.renewalInfo.replace(/\/$/, '')}/${certificateId}`)
    if (!answer.ok) return answer
    if (answer.value.status !== 200) return fail(acmeProblem(answer.value))
    const read = renewalInfo.safeParse(parsed(answer.value.body))
    const { start = '', end = '' } = read.success ? read.data.suggestedWindow : {}
    const window = { startMs: Date.parse(start), endMs: Date.parse(end) }
    if (!(window.startMs <= window.endMs)) return fail(notUnderstood('the time of renewal'))
    const pause = retryAfterMs(answer.value)
    return ok({ window, ...(pause === undefined ? {} : { retryAfterMs: pause }) })
  }

  async #told<T>(target: string, payload: unknown, schema: z.ZodType<T>, what: string): Promise<Result<Answered<T>>> {
    const answer = await this.#ask(target, payload)
    if (!answer.ok) return answer
    const read = schema.safeParse(parsed(answer.value.body))
    if (!read.success) return fail(notUnderstood(what))
    const { location } = answer.value.headers
    const pause = retryAfterMs(answer.value)
    return ok({
      value: read.data,
      ...(location === undefined ? {} : { location }),
      ...(pause === undefined ? {} : { retryAfterMs: pause }),
    })
  }

  async #ask(target: string, payload: unknown): Promise<Result<OutboundAnswer>> {
    for (let tries = 1; ; tries++) {
      const nonce = await this.#freshNonce()
      if (!nonce.ok) return nonce
      const account = this.#account === undefined ? {} : { account: this.#account }
      const body = signedBody(this.#options.accountKeyPem, { nonce: nonce.value, url: target, payload, ...account })
      const answer = await this.#send('POST', target, body)
      if (!answer.ok) return answer
      if (answer.value.status >= 200 && answer.value.status < 300) return answer
      const said = problem.safeParse(parsed(answer.value.body))
      // Every authority may say so at any time, and gives another one with the refusal.
      const isBadNonce = said.success && said.data.type === 'urn:ietf:params:acme:error:badNonce'
      if (!isBadNonce || tries === NONCE_TRIES) return fail(acmeProblem(answer.value))
    }
  }

  async #freshNonce(): Promise<Result<string>> {
    const kept = this.#nonce
    this.#nonce = undefined
    if (kept !== undefined) return ok(kept)
    const known = await this.directory()
    if (!known.ok) return known
    const answer = await this.#send('HEAD', known.value.newNonce)
    if (!answer.ok) return answer
    const given = this.#nonce as string | undefined
    this.#nonce = undefined
    return given === undefined ? fail(notUnderstood('its nonce')) : ok(given)
  }

  async #send(method: 'GET' | 'HEAD' | 'POST', target: string, body?: string): Promise<Result<OutboundAnswer>> {
    if (!target.startsWith('https://')) return fail(notUnderstood('an address that is not https'))
    const answer = await guardedRequest(
      {
        ...{ method, url: target, answerBytesMax: ANSWER_BYTES_MAX },
        headers: {
          'user-agent': 'Stead',
          ...(body === undefined ? {} : { 'content-type': 'application/jose+json' }),
        },
        ...(body === undefined ? {} : { body }),
        ...(this.#options.ca === undefined ? {} : { ca: this.#options.ca }),
      },
      this.#options.guard,
    )
    const nonce = answer.ok ? answer.value.headers['replay-nonce'] : undefined
    if (typeof nonce === 'string') this.#nonce = nonce
    return answer
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function notUnderstood(what: string): Failure {
  return failure('host_unreachable', `What the authority says of ${what} is not what RFC 8555 has it say`)
}
