/** Sends something to an address that a user has named: to permitted addresses only, bounded, following nothing. */
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { permittedAddresses, type Permitted } from './outbound-guard.ts'

const TIMEOUT_MS = 10_000

export interface Posting {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The answer's status. What else it says is not read. */
export async function guardedPost(
  { url, headers, body }: Posting,
  guard: { readonly isPermitted: Permitted; readonly isListed: Permitted },
): Promise<Result<number>> {
  const target = new URL(url)
  const isPlain = target.protocol === 'http:'
  const addresses = await permittedAddresses(target.hostname, isPlain ? guard.isListed : guard.isPermitted)
  if (!addresses.ok) return addresses
  const options: RequestOptions = {
    method: 'POST',
    headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
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
      answer.on('error', () => undefined)
      answer.destroy()
      resolve(ok(answer.statusCode ?? 0))
    })
    sent.once('error', failed)
    sent.end(body)
  })
}
