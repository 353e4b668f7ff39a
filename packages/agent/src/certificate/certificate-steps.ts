/**
 * One step towards a certificate of the web: what is asked of the authority, and what of it is to be kept. Each can be
 * taken again by any host, since the authority's own word of an order says what comes next.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import {
  renewalTime,
  type CertificateChallenge,
  type CertificateOrder,
  type CertificateProgress,
  type GivenCertificate,
  type WantedCertificate,
} from '@stead/core/model/web-certificate.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AcmeAuthorization, AcmeClient, AcmeOrder, Answered } from './acme-client.ts'
import { refusedProof } from './acme-problem.ts'
import { keyAuthorization, recordText } from './acme-signature.ts'
import { makeProofReady, type ProofContext } from './certificate-proof.ts'
import { becomesCurrent, orderKey } from './held-keys.ts'

const POLL_MS = 2_000
/** RFC 9773 has clients ask twice a day or so, unless the authority says otherwise. */
const HINT_MS = 6 * 3_600_000
const HINT_MS_MIN = 60_000

export interface StepContext extends ProofContext {
  readonly store: Pick<Store, 'get' | 'transact'>
  readonly client: AcmeClient
  readonly accountKeyPem: string
  readonly wanted: WantedCertificate
  readonly nowMs: number
}

export interface Taken {
  readonly progress: CertificateProgress
  readonly writes: readonly Write[]
  /** There is a new certificate. */
  readonly given?: GivenCertificate
}

/** Names that were proved a short while ago need no proof again: the authority knows. `currentPem`: what it is to replace. */
export async function begin(
  context: StepContext,
  progress: CertificateProgress,
  currentPem: string | undefined,
): Promise<Result<Taken>> {
  const { client, wanted, accountKeyPem, nowMs } = context
  const { renewalIdOf } = await import('../trust/certificates.ts')
  const made = await client.newOrder(wanted.names, currentPem === undefined ? undefined : renewalIdOf(currentPem))
  if (!made.ok) return made
  const { value, location } = made.value
  if (location === undefined) return fail(failure('host_unreachable', 'The authority has not said where the order is'))
  const challenges: CertificateChallenge[] = []
  for (const url of value.authorizations) {
    const asked = await client.authorization(url)
    if (!asked.ok) return asked
    const { status, identifier, wildcard, challenges: offered } = asked.value.value
    if (status === 'valid') continue
    const found = offered.find(({ type, token }) => type === `${wanted.proof.kind}-01` && token !== '')
    if (!found) return fail(noWay(identifier.value, wanted, wildcard))
    const authorization = keyAuthorization(accountKeyPem, found.token)
    const answer = wanted.proof.kind === 'dns' ? recordText(authorization) : authorization
    challenges.push({ name: identifier.value, token: found.token, answer, url: found.url })
  }
  const order: CertificateOrder = {
    ...{ url: location, finalizeUrl: value.finalize, begunAt: nowMs, challenges },
    ...{ told: challenges.length === 0, lookAt: nowMs },
  }
  return ok({ progress: { ...progress, order }, writes: [] })
}

export async function goOn(
  context: StepContext,
  progress: CertificateProgress,
  order: CertificateOrder,
): Promise<Result<Taken>> {
  const { client, wanted } = context
  const asked = await client.order(order.url)
  if (!asked.ok) return asked
  const { status, certificate, authorizations, error } = asked.value.value
  if (status === 'pending' && !order.told) return tell(context, progress, order)
  if (status === 'ready') {
    const key = await orderKey(context.store, order.url)
    if (!key.ok) return key
    const { createNamesRequest } = await import('../trust/certificates.ts')
    const finalized = await client.finalize(order.finalizeUrl, await createNamesRequest(wanted.names, key.value))
    return finalized.ok ? ok(later(context, progress, order, finalized.value)) : finalized
  }
  if (status === 'valid' && certificate !== undefined) return take(context, progress, order, certificate)
  if (status === 'invalid') {
    const refused: AcmeAuthorization[] = []
    for (const url of authorizations) {
      const looked = await client.authorization(url)
      if (looked.ok) refused.push(looked.value.value)
    }
    return fail(refusedProof(refused, error))
  }
  return ok(later(context, progress, order, asked.value))
}

/** The authority's own wish for the time of renewal. */
export async function askForHint(
  { client, nowMs }: Pick<StepContext, 'client' | 'nowMs'>,
  progress: CertificateProgress,
  pem: string,
): Promise<Taken> {
  const { renewalIdOf } = await import('../trust/certificates.ts')
  const id = renewalIdOf(pem)
  const hint = id === undefined ? ok(undefined) : await client.renewalWindow(id)
  const { given } = progress
  // It is a wish: without it the certificate is renewed in time all the same.
  const { window, retryAfterMs = HINT_MS } = (hint.ok ? hint.value : undefined) ?? {}
  const renewAt = window && given ? Math.min(renewalTime(given, window), progress.renewAt) : progress.renewAt
  return { progress: { ...progress, renewAt, hintAt: nowMs + Math.max(retryAfterMs, HINT_MS_MIN) }, writes: [] }
}

async function tell(
  context: StepContext,
  progress: CertificateProgress,
  order: CertificateOrder,
): Promise<Result<Taken>> {
  const { client, wanted, clock } = context
  const ready = await makeProofReady(context, wanted, order.challenges)
  if (!ready.ok) return ready
  for (const { url } of order.challenges) {
    const told = await client.ready(url)
    if (!told.ok) return told
  }
  return ok({
    progress: { ...progress, order: { ...order, told: true, lookAt: clock.wallMs() + POLL_MS } },
    writes: [],
  })
}

function later(
  { clock }: StepContext,
  progress: CertificateProgress,
  order: CertificateOrder,
  { retryAfterMs = POLL_MS }: Answered<AcmeOrder>,
): Taken {
  return { progress: { ...progress, order: { ...order, lookAt: clock.wallMs() + retryAfterMs } }, writes: [] }
}

async function take(
  context: StepContext,
  progress: CertificateProgress,
  order: CertificateOrder,
  url: string,
): Promise<Result<Taken>> {
  const { client, store, wanted, nowMs } = context
  const [pem, key] = [await client.certificate(url), await orderKey(store, order.url)]
  if (!pem.ok) return pem
  if (!key.ok) return key
  const given = readGiven(pem.value, key.value, wanted.names)
  if (!given.ok) return given
  const { order: _, failing: _over, ...rest } = progress
  const next = { ...rest, given: given.value, renewAt: renewalTime(given.value), hintAt: nowMs }
  return ok({
    ...{ progress: next, given: given.value },
    writes: becomesCurrent({ certificate: pem.value, key: key.value }),
  })
}

/** What came is looked at before it is shown to anybody. */
function readGiven(pem: string, keyPem: string, names: readonly string[]): Result<GivenCertificate> {
  try {
    const certificate = new X509Certificate(pem)
    const alternatives = certificate.subjectAltName ?? ''
    const given = [...alternatives.matchAll(/DNS:([^,\s]+)/g)].map(([, name = '']) => name.toLowerCase())
    const lacking = names.filter((name) => !given.includes(name))
    if (lacking.length > 0) return fail(unusable(`it is not for ${lacking.join(', ')}`))
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem)))
      return fail(unusable('it is not of the key that was shown'))
    return ok({
      ...{ fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(), names: given },
      issuer: certificate.issuer.replaceAll('\n', ', '),
      ...{ notBefore: certificate.validFromDate.getTime(), notAfter: certificate.validToDate.getTime() },
    })
  } catch (cause) {
    return fail(unusable((cause as Error).message, cause))
  }
}

function unusable(why: string, cause?: unknown) {
  return failure('conflict', `What the authority gives cannot be used: ${why}`, { cause })
}

function noWay(name: string, { proof }: WantedCertificate, wildcard: boolean) {
  const hint = proof.kind === 'http' ? 'Prove the names by DNS (--dns-server)' : 'Prove the names by port 80'
  const what = `${wildcard ? '*.' : ''}${name}`
  return failure('conflict', `The authority takes no proof by ${WORDS[proof.kind]} for ${what}`, { hint })
}

const WORDS = { http: 'port 80', dns: 'DNS' } as const
