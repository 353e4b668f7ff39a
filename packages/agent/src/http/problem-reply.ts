/** Failures as HTTP answers. */
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
