/**
 * Asks an OpenID provider: over TLS only, believing the realm's own authority where it has one, and with a limit on time
 * and on what is read. Node's `fetch` takes no authority.
 */
import { request } from 'node:https'

const TIMEOUT_MS = 5_000
const ANSWER_BYTES_MAX = 1024 * 1024

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export type RealmFetch = (url: string, asked?: Asked) => Promise<Response>

export function realmFetch(authority: string | undefined): RealmFetch {
  return (url, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const asking = request(
        url,
        {
          ...{ method, headers, agent: false, minVersion: 'TLSv1.2' as const },
          ...(authority === undefined ? {} : { ca: authority }),
          // Of the whole answer; a socket's own timeout begins anew with each byte.
          signal: AbortSignal.timeout(TIMEOUT_MS),
        },
        async (answer) => {
          try {
            const chunks: Buffer[] = []
            let size = 0
            for await (const chunk of answer as AsyncIterable<Buffer>) {
              size += chunk.length
              if (size > ANSWER_BYTES_MAX) throw new Error(`${new URL(url).host} answers more than is read`)
              chunks.push(chunk)
            }
            const status = answer.statusCode ?? 0
            const isEmpty = status === 204 || status === 304 || method === 'HEAD'
            resolve(
              new Response(isEmpty ? null : Buffer.concat(chunks), {
                status,
                headers: Object.entries(answer.headers).flatMap(([name, value]): [string, string][] =>
                  value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
                ),
              }),
            )
          } catch (error) {
            answer.destroy()
            reject(error as Error)
          }
        },
      )
      asking.once('error', reject)
      if (body === undefined || body === null) asking.end()
      else asking.end(body instanceof URLSearchParams ? body.toString() : String(body))
    })
}
