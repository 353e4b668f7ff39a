/** Errors on the wire: problem documents of RFC 9457 with Stead's own code, hint and causes. */
import { FAILURES, failure, hintOf, type Failure, type FailureCode } from '@stead/core/errors.ts'
import { z } from 'zod'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'
const TYPE_PREFIX = 'urn:stead:problem:'

export const problemSchema = z.object({
  type: z.string().describe('`urn:stead:problem:<code>`'),
  title: z.string().describe('What kind of problem, the same for every occurrence'),
  status: z.number().int().describe('HTTP status'),
  detail: z.string().describe('What happened to this request'),
  code: z.string().describe('Stable; the list is in docs/operating/cli.md'),
  hint: z.string().exactOptional().describe('What the administrator can do'),
  causes: z.array(z.string()).exactOptional().describe('What lies beneath, outermost first'),
})
export type Problem = z.output<typeof problemSchema>

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
