/** The client's way to an agent from Node: a unix socket, HTTPS or HTTP, bodies streamed both ways. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { hostname } from 'node:os'
import { pipeline } from 'node:stream/promises'
import type { ApiTarget, Transport, TransportRequest, TransportResponse } from '@stead/api/transport.ts'

export const unixTransport: Transport = { send }

function send(target: ApiTarget, options: TransportRequest): Promise<TransportResponse> {
  return new Promise((resolve, reject) => {
    const { body, signal } = options
    const isTls = 'url' in target && target.url.startsWith('https:')
    const request = (isTls ? httpsRequest : httpRequest)({
      ...placeOf(target),
      method: options.method,
      path: options.path,
      // Sessions are told apart by it.
      headers: { 'user-agent': `stead on ${hostname()}`, ...options.headers },
      agent: false,
      ...(signal ? { signal } : {}),
    })
    let timer: NodeJS.Timeout | undefined
    const rearm = () => {
      clearTimeout(timer)
      timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${options.headersTimeoutMs} ms`)),
        options.headersTimeoutMs,
      )
    }
    let answered = false
    rearm()
    request.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    request.once('response', (response) => {
      answered = true
      clearTimeout(timer)
      // After the head, errors belong to the body's reader.
      request.on('error', () => undefined)
      resolve({ status: response.statusCode ?? 0, headers: plainHeaders(response.headers), body: response })
    })
    if (body === undefined || typeof body === 'string') {
      request.end(body)
      return
    }
    // The time counts anew with each part of a file that was taken.
    pipeline(
      notingProgress(body instanceof Blob ? body.stream() : body, () => answered || rearm()),
      request,
    ).catch((error: unknown) => {
      // A server may answer (refuse) before it has read everything; then its answer counts.
      if (answered) return
      clearTimeout(timer)
      request.destroy()
      reject(error)
    })
  })
}

async function* notingProgress(body: AsyncIterable<Uint8Array>, onProgress: () => void): AsyncGenerator<Uint8Array> {
  for await (const part of body) {
    onProgress()
    yield part
  }
}

function plainHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value ?? '')]))
}

function placeOf(target: ApiTarget) {
  if ('unix' in target) return { socketPath: target.unix }
  const { hostname, port, protocol } = new URL(target.url)
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (protocol === 'https:' ? 443 : 80),
    ...trustOf(target.authority),
  }
}

/** What was pinned may be the certificate of a host itself. */
export function trustOf(authority: string | undefined) {
  return authority === undefined ? {} : { ca: authority, allowPartialTrustChain: true }
}
