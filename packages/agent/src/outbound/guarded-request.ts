/** Asks at an address that a user has named: permitted addresses only, bounded in time and size, following nothing. */
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { permittedAddresses, type Permitted } from './outbound-guard.ts'

const TIMEOUT_MS = 10_000

export interface OutboundRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** By whom the server's certificate is believed, PEM; by those that every machine knows when absent. */
  readonly ca?: string
  /** Of the answer; 0: what it says is not read. */
  readonly answerBytesMax: number
}

export interface OutboundAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface OutboundGuard {
  readonly isPermitted: Permitted
  readonly isListed: Permitted
}

export async function guardedRequest(
  { method, url, headers, body, ca, answerBytesMax }: OutboundRequest,
  guard: OutboundGuard,
): Promise<Result<OutboundAnswer>> {
  const target = new URL(url)
  const isPlain = target.protocol === 'http:'
  const addresses = await permittedAddresses(target.hostname, isPlain ? guard.isListed : guard.isPermitted)
  if (!addresses.ok) return addresses
  const options: RequestOptions & { ca?: string } = {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }) },
    ...(ca === undefined ? {} : { ca }),
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    // The name is not looked up again: it could have another address then.
    lookup: (_name, asked, done) =>
      asked.all ? done(null, addresses.value) : done(null, addresses.value[0]!.address, addresses.value[0]!.family),
  }
  return new Promise((resolve) => {
    const failed = (error: Error) =>
      resolve(fail(failure('host_unreachable', `${target.host} does not answer: ${error.message}`, { cause: error })))
    const sent = (isPlain ? httpRequest : httpsRequest)(target, options, (answer) => {
      const give = (text: string) =>
        resolve(ok({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }))
      if (answerBytesMax === 0) {
        answer.on('error', () => undefined)
        answer.destroy()
        return give('')
      }
      const parts: Buffer[] = []
      let bytes = 0
      answer.on('error', failed)
      answer.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > answerBytesMax) return answer.destroy(new Error(`it says more than ${answerBytesMax} bytes`))
        parts.push(part)
      })
      answer.on('end', () => give(Buffer.concat(parts).toString()))
    })
    sent.once('error', failed)
    sent.end(body)
  })
}
