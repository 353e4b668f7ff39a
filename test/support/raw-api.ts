/** The API as any program may speak to it, past all that the client checks. */
import { request } from 'node:http'
import type { Problem } from '@stead/api/problem-schema.ts'

export interface RawRequest {
  readonly method: string
  readonly path: string
  readonly body: string | Buffer
  /** Content type. */
  readonly type: string
}

export interface RawAnswer {
  readonly status: number
  /** Content type; empty when there was none. */
  readonly type: string
  readonly problem: Partial<Problem>
}

export function sendRaw(socketPath: string, { method, path, body, type }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) }
    const sent = request({ socketPath, method, path, headers, timeout: 30_000 }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => (text += part))
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          type: answer.headers['content-type'] ?? '',
          problem: JSON.parse(text || '{}') as Partial<Problem>,
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
