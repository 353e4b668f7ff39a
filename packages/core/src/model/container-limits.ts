/** Limits of containers, named as OpenVZ's beancounters. */
import { failure, type Failure } from '../errors.ts'
import { fail, ok, type Result } from '../result.ts'

export type ContainerLimits = Readonly<Record<string, { readonly barrier?: number; readonly limit?: number }>>

/** Undefined when a container of this size can live with these limits. */
export function limitsProblem(limits: ContainerLimits, _size: { readonly memoryBytes: number }): Failure | undefined {
  void limits
  return undefined
}

export interface ParsedLimit {
  readonly resource: string
  readonly barrier?: number
  readonly limit?: number
}

/** `NAME=LIMIT` or `NAME=BARRIER:LIMIT`. */
export function parseLimit(text: string): Result<ParsedLimit> {
  const match = /^([a-z]+)=(?:(\d+):)?(\d+)$/.exec(text)
  if (!match) return fail(failure('bad_request', `\`${text}\` is no limit`))
  const [, resource = '', barrier, limit] = match
  return ok({ resource, ...(barrier === undefined ? {} : { barrier: Number(barrier) }), limit: Number(limit) })
}
