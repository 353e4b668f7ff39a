/** Failures as HTTP answers. */
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import { PROBLEM_MEDIA_TYPE, problemFromFailure } from '@stead/api/errors.ts'
import { failure, FailureError, type Failure } from '@stead/core/errors.ts'

export function sendProblem(reply: FastifyReply, value: Failure): FastifyReply {
  const problem = problemFromFailure(value)
  reply.code(problem.status).type(PROBLEM_MEDIA_TYPE)
  if (value.code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  if (value.retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(value.retryAfterMs / 1_000)))
  else if (problem.status === 503) reply.header('retry-after', '1')
  return reply.send(JSON.stringify(problem))
}

const PROTOCOL_PROBLEMS: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', "The request's head is longer than the agent takes"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['413 Payload Too Large', "The request's chunks have too long extensions"],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not arrive in time'],
}

/** Of what is no HTTP, or too much of it: there is no request yet to answer. The connection ends. */
export function sendProtocolProblem(error: NodeJS.ErrnoException, socket: Socket): void {
  // As Node's own handler does: into an answer that has begun nothing is written.
  const { _httpMessage: begun } = socket as { _httpMessage?: { readonly headersSent?: boolean } | null }
  if (error.code === 'ECONNRESET' || !socket.writable || begun?.headersSent) return void socket.destroy(error)
  const [status, message] = PROTOCOL_PROBLEMS[error.code ?? ''] ?? ['400 Bad Request', 'The request is no HTTP']
  const problem = { ...problemFromFailure(failure('bad_request', message)), status: Number(status.slice(0, 3)) }
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${status}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  // Of an answer to HEAD only the head is sent.
  const { rawPacket } = error as { rawPacket?: Buffer }
  const isHead = rawPacket?.subarray(0, 5).toString('latin1') === 'HEAD '
  socket.end(`${head.join('\r\n')}\r\n\r\n${isHead ? '' : body}`)
}

/** What fastify or a handler threw. Undefined: a programmer error, to be logged and answered as `internal`. */
export function failureOfThrown(error: unknown): Failure | undefined {
  if (error instanceof FailureError) return error.failure
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number') return undefined
  if (error.statusCode === 413) {
    return failure('bad_request', 'The request body is too large', {
      hint: 'Files go to PUT /v1/blobs/{digest}.',
      cause: error,
    })
  }
  if (error.statusCode >= 500) return undefined
  return failure('bad_request', error.message, { cause: error })
}
