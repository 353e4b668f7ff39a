/** JSON that a client sent: what is no JSON, or is made to cost more than it is long, is refused. */
import { failure, FailureError } from '@stead/core/errors.ts'

/** No request of the contract needs a tenth of it. */
const DEPTH_MAX = 64

export function parseJson(text: string): unknown {
  if (text === '') return {}
  if (isDeeper(text, DEPTH_MAX))
    throw new FailureError(failure('bad_request', `The request's body is nested more than ${DEPTH_MAX} deep`))
  try {
    // A reviver makes a long list ten times as slow, so only those that may need it get one.
    return /__proto__|\\u/.test(text) ? JSON.parse(text, withoutPrototype) : JSON.parse(text)
  } catch (cause) {
    if (cause instanceof FailureError) throw cause
    throw new FailureError(
      failure('bad_request', `The request's body is not JSON: ${(cause as Error).message}`, { cause }),
    )
  }
}

/** `JSON.parse` makes an own property of it, but whoever copies the object would set its prototype. */
function withoutPrototype(key: string, value: unknown): unknown {
  if (key !== '__proto__') return value
  throw new FailureError(failure('bad_request', "The request's body is not valid: __proto__: unknown field"))
}

/** Counted before anything is built of it. */
function isDeeper(text: string, depthMax: number): boolean {
  let depth = 0
  let inText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inText) {
      if (code === BACKSLASH) at++
      else if (code === QUOTE) inText = false
    } else if (code === QUOTE) inText = true
    else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      if (++depth > depthMax) return true
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth--
  }
  return false
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
