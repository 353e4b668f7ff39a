/** What an authority answers that refuses something, in words of which an administrator can make something. */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { AcmeAuthorization } from './acme-client.ts'
import type { OutboundAnswer } from '../outbound/guarded-request.ts'

const URN = 'urn:ietf:params:acme:error:'
const TEXT_LENGTH_MAX = 500
const RETRY_AFTER_MS_MAX = 7 * 86_400_000

/** By the type of the problem document, without its `urn:ietf:params:acme:error:`. */
const HINTS: Readonly<Record<string, string>> = {
  connection:
    'The authority must reach port 80 of every name: look where the name leads, at the firewall and the port forwarding, or prove the names by DNS (--dns-server)',
  dns: 'The name must be known to DNS as the Internet sees it, and lead to this cluster, or prove the names by DNS (--dns-server)',
  unauthorized:
    'Somebody else than this cluster answered: the name must lead to its hosts or its address, with nothing between that answers itself',
  incorrectResponse:
    'Something between the authority and the hosts answers port 80 itself, or a server of the zone is late (--dns-settle)',
  caa: "The zone's CAA records forbid this authority: add it there, or take another one",
  rateLimited: 'The authority has its limits; it is tried again when it wants to hear of it',
  rejectedIdentifier:
    'The authority gives no certificate for this name: it must be public, and permitted by its policy',
  externalAccountRequired:
    'Give the key that the authority has shown you: --external-account-id and --external-account-key-file',
  accountDoesNotExist: 'The authority has forgotten the account: `stead certificate renew` makes another one',
  invalidContact: 'The authority does not take this address of mail: --email',
  unsupportedContact: 'The authority does not take this address of mail: --email',
  tls: 'The authority could not speak with the hosts by TLS',
  badCSR: 'The authority refuses the key or the names: take fewer names, or another authority',
}

interface Said {
  readonly type?: unknown
  readonly detail?: unknown
}

/** Of an answer that is none of 2xx. `host_unreachable`: it has decided nothing, and may be asked again soon. */
export function acmeProblem(answer: OutboundAnswer): Failure {
  const said = documentOf(answer.body)
  const kind = kindOf(said)
  const pause = retryAfterMs(answer)
  const code = answer.status >= 500 || answer.status === 429 ? 'host_unreachable' : 'conflict'
  const hint = HINTS[kind]
  return failure(code, `The authority refuses: ${textOf(said) || `HTTP status ${answer.status}`}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(pause === undefined ? {} : { retryAfterMs: pause }),
    cause: { status: answer.status, ...said },
  })
}

/** Why an order came to nothing. */
export function refusedProof(authorizations: readonly AcmeAuthorization[], ofOrder: Said | undefined): Failure {
  for (const { identifier, challenges } of authorizations) {
    const error = challenges.find((challenge) => challenge.error)?.error
    if (!error) continue
    const hint = HINTS[kindOf(error)]
    return failure('conflict', `The authority does not believe that ${identifier.value} is ours: ${textOf(error)}`, {
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    })
  }
  const text = ofOrder ? textOf(ofOrder) : 'it does not say why'
  return failure('conflict', `The authority gives no certificate: ${text}`, { cause: ofOrder })
}

/** Seconds, or a date. */
export function retryAfterMs({ headers }: Pick<OutboundAnswer, 'headers'>, nowMs = Date.now()): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX) : undefined
}

function documentOf(body: string): Said {
  try {
    const json: unknown = JSON.parse(body)
    return typeof json === 'object' && json !== null ? json : {}
  } catch {
    return {}
  }
}

function kindOf({ type }: Said): string {
  return typeof type === 'string' && type.startsWith(URN) ? type.slice(URN.length) : ''
}

/** Of a stranger: no control characters, and not without end. */
function textOf(said: Said): string {
  const detail = typeof said.detail === 'string' ? said.detail : ''
  // oxlint-disable-next-line no-control-regex
  const text = `${detail.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, TEXT_LENGTH_MAX)}`
  const kind = kindOf(said)
  return kind === '' ? text : `${text} (${kind})`
}
