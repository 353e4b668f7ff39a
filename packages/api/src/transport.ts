/** How the client reaches an agent. The browser's is here; Node's, which also knows unix sockets, is in `cli`. */

/** One agent's API. */
export type ApiTarget =
  | { readonly host?: string; readonly unix: string }
  /** Scheme, name and port, as `https://192.0.2.2:8443`; PEM of the only authority that is believed there. */
  | { readonly host?: string; readonly url: string; readonly authority?: string }

export interface TransportRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** A `Blob` is a file of a browser, which sends it without reading it into its memory. */
  readonly body?: string | Blob | AsyncIterable<Uint8Array>
  /** The response's head must come within this time after the request's last byte was taken, ms. */
  readonly headersTimeoutMs: number
  readonly signal?: AbortSignal
}

export interface TransportResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Must be read to its end or left by `return()`, or the connection stays open. */
  readonly body: AsyncIterable<Uint8Array>
}

/** Rejects when no response's head came: no connection, broken, too late, aborted. */
export interface Transport {
  send(target: ApiTarget, request: TransportRequest): Promise<TransportResponse>
}

/** For browsers, and anywhere where `fetch` is. It cannot reach unix sockets nor stream a request's body. */
export function fetchTransport(fetchLike: typeof fetch = fetch): Transport {
  return {
    async send(target, request) {
      if (!('url' in target)) throw new TypeError('fetch cannot reach a unix socket')
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(new Error('no answer in time')), request.headersTimeoutMs)
      const signals = request.signal ? [late.signal, request.signal] : [late.signal]
      try {
        const response = await fetchLike(new URL(request.path, target.url), {
          method: request.method,
          headers: request.headers,
          signal: AbortSignal.any(signals),
          ...(request.body === undefined ? {} : { body: await wholeBody(request.body) }),
        })
        const headers = Object.fromEntries(response.headers.entries())
        return { status: response.status, headers, body: response.body ?? emptyBody() }
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

async function wholeBody(body: string | Blob | AsyncIterable<Uint8Array>): Promise<string | Blob> {
  if (typeof body === 'string' || body instanceof Blob) return body
  const parts: Uint8Array<ArrayBuffer>[] = []
  for await (const part of body) parts.push(new Uint8Array(part))
  return new Blob(parts)
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {
  // Nothing to give.
}
