/** A host that is of no cluster yet, at the door of one: it believes only the authority whose fingerprint it was given. */
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:tls'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { request as httpsRequest } from '../http/node-https.ts'
import type { JoinToken } from '../membership/join-token.ts'

const CONNECT_MS = 5_000
const ANSWER_MS = 20_000

export class JoinClient {
  readonly address: string
  readonly #token: JoinToken
  readonly #authorityPem: string

  private constructor(address: string, token: JoinToken, authorityPem: string) {
    this.address = address
    this.#token = token
    this.#authorityPem = authorityPem
  }

  /** By the first of the token's addresses at which the right cluster answers. */
  static async find(token: JoinToken): Promise<Result<JoinClient>> {
    const troubles: string[] = []
    for (const address of token.addresses) {
      try {
        return ok(new JoinClient(address, token, await authorityAt(address, token)))
      } catch (error) {
        troubles.push(`${address}: ${(error as Error).message}`)
      }
    }
    return fail(
      failure('host_unreachable', `No host of the cluster ${token.cluster} can be reached (${troubles.join('; ')})`, {
        hint: 'Is the token still valid, and is TCP port 8446 open between the hosts?',
      }),
    )
  }

  async ask(path: '/facts' | '/join', body: unknown): Promise<Result<unknown>> {
    const opened = await this.#open(this.address, path, JSON.stringify(body))
    if (!opened.ok) return opened
    let text = ''
    for await (const part of opened.value) text += String(part)
    return JSON.parse(text) as Result<unknown>
  }

  /** Bit/s from a host at that address. */
  async bandwidth(address: string): Promise<Result<number>> {
    const opened = await this.#open(address, '/payload', '')
    if (!opened.ok) return opened
    // Not the first bytes: they still wait for the handshake.
    let bytes = 0
    const startedMs = performance.now()
    for await (const part of opened.value as AsyncIterable<Buffer>) bytes += part.length
    return ok((bytes * 8 * 1000) / (performance.now() - startedMs))
  }

  #open(address: string, path: string, body: string): Promise<Result<IncomingMessage>> {
    return new Promise((resolve) => {
      const request = httpsRequest({
        host: address,
        ...{ port: this.#token.port, path, method: 'POST', agent: false, timeout: ANSWER_MS },
        ...{ ca: this.#authorityPem, minVersion: 'TLSv1.3' as const },
        headers: { authorization: `Bearer ${this.#token.secret}`, 'content-length': Buffer.byteLength(body) },
      })
      request.on('timeout', () => request.destroy(new Error('no answer in time')))
      request.on('error', (cause) =>
        resolve(fail(failure('host_unreachable', `${address} cannot be reached: ${cause.message}`, { cause }))),
      )
      request.on('response', (response: IncomingMessage) => resolve(ok(response)))
      request.end(body)
    })
  }
}

/** The certificate of the authority that signed what answers there, when it is the one that the token means. */
function authorityAt(address: string, { fingerprint, port }: JoinToken): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
    const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), CONNECT_MS)
    socket.on('error', reject)
    socket.on('close', () => clearTimeout(timer))
    socket.on('secureConnect', () => {
      const shown = socket.getPeerX509Certificate()
      const authority = shown?.issuerCertificate
      socket.destroy()
      if (shown && authority && isMeant(shown, authority, fingerprint)) resolve(authority.toString())
      else reject(new Error('this is another cluster than the one that the token is of'))
    })
  })
}

function isMeant(shown: X509Certificate, authority: X509Certificate, fingerprint: string): boolean {
  const found = authority.fingerprint256.replaceAll(':', '').toLowerCase()
  return found === fingerprint && shown.checkIssued(authority) && shown.verify(authority.publicKey)
}
