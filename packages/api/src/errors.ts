/** Errors on the wire: problem documents of RFC 9457 with Stead's own code, hint and causes. */
import { FAILURES, failure, hintOf, type Failure, type FailureCode } from '@stead/core/errors.ts'
import type { Problem } from './problem-schema.ts'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'
const TYPE_PREFIX = 'urn:stead:problem:'

export function problemFromFailure(value: Failure): Problem {
  const { status, title } = FAILURES[value.code]
  const causes = causeChain(value.cause)
  return {
    type: `${TYPE_PREFIX}${value.code}`,
    title,
    status,
    detail: value.message,
    code: value.code,
    hint: hintOf(value),
    ...(causes.length === 0 ? {} : { causes }),
  }
}

/** As far as it is used here: a newer agent may tell more. */
export function isProblem(value: unknown): value is Problem {
  if (typeof value !== 'object' || value === null) return false
  const { code, detail, hint, causes } = value as Record<string, unknown>
  return (
    typeof code === 'string' &&
    typeof detail === 'string' &&
    (hint === undefined || typeof hint === 'string') &&
    (causes === undefined || (Array.isArray(causes) && causes.every((cause) => typeof cause === 'string')))
  )
}

/** A code that this version does not know (from a newer agent) becomes `internal`, its text kept. */
export function failureFromProblem(problem: Problem): Failure {
  const { code } = problem
  const message = isFailureCode(code) ? problem.detail : `${code}: ${problem.detail}`
  return failure(isFailureCode(code) ? code : 'internal', message, {
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    ...(problem.causes === undefined ? {} : { cause: problem.causes }),
  })
}

export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(FAILURES, code)
}

const CAUSES_MAX = 8

/** The causes as sentences, outermost first. Stack traces stay in the agent's log. */
export function causeChain(cause: unknown): string[] {
  const sentences: string[] = []
  let current: unknown = cause
  while (current !== undefined && current !== null && sentences.length < CAUSES_MAX) {
    if (Array.isArray(current)) {
      sentences.push(...current.map((item) => (typeof item === 'string' ? item : causeChain(item).join(': '))))
      break
    }
    if (current instanceof Error) {
      sentences.push(current.message === '' ? current.name : current.message)
      current = current.cause
    } else if (isFailure(current)) {
      sentences.push(`${current.code}: ${current.message}`)
      current = current.cause
    } else {
      sentences.push(typeof current === 'string' ? current : JSON.stringify(current))
      break
    }
  }
  return sentences.slice(0, CAUSES_MAX)
}

function isFailure(value: unknown): value is Failure {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value
}
