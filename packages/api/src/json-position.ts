/**
 * Where JSON text goes wrong. `JSON.parse` gives the place of some errors only, and takes the last of two fields with
 * one name without a word; people who write a file by hand need the line of both.
 */

export interface JsonProblem {
  /** From 1. */
  readonly line: number
  readonly column: number
  /** `expected a value, found NaN`. */
  readonly problem: string
}

/** All tokens but texts, which have no bound and are looked through by hand. */
const TOKEN = /[ \t\r\n]+|[{}[\],:]|[^ \t\r\n{}[\],:"]+/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

type Expectation =
  | 'a value'
  | 'a value or ]'
  | 'a field name or }'
  | 'a field name'
  | ':'
  | ', or }'
  | ', or ]'
  | 'the end'

/** An object's field names so far; undefined for a list. */
type Open = Set<string> | undefined

/** The first fault of the text; undefined when it is JSON in which no object has two fields of one name. */
export function jsonProblemIn(text: string): JsonProblem | undefined {
  /** The objects and lists around the token: a stack of its own, so that deep nesting costs no calls. */
  const open: Open[] = []
  let expected: Expectation = 'a value'
  const ended = (): Expectation => (open.length === 0 ? 'the end' : open.at(-1) === undefined ? ', or ]' : ', or }')
  let next = 0
  for (;;) {
    const at = next
    if (at >= text.length) {
      return expected === 'the end' ? undefined : problemAt(text, at, `expected ${expected}, found the end of the text`)
    }
    const end = text[at] === '"' ? textEnd(text, at) : tokenEnd(text, at)
    if (end === undefined) return problemAt(text, at, 'a text that does not end on its line, or with a wrong escape')
    next = end
    const token = text.slice(at, end)
    if (/^[ \t\r\n]/.test(token)) continue
    const wrong = () => problemAt(text, at, `expected ${expected}, found ${shown(token)}`)
    if (expected === ':') {
      if (token !== ':') return wrong()
      expected = 'a value'
      continue
    }
    if (expected === ', or }' || expected === ', or ]') {
      if (token === ',') expected = expected === ', or }' ? 'a field name' : 'a value'
      else if (token === expected.at(-1)) {
        open.pop()
        expected = ended()
      } else return wrong()
      continue
    }
    if (expected === 'the end') return wrong()
    if (expected === 'a field name' || expected === 'a field name or }') {
      if (token.startsWith('"')) {
        const name = JSON.parse(token) as string
        const names = open.at(-1)
        if (names?.has(name) === true) return problemAt(text, at, `the field ${shown(token)} is there twice`)
        names?.add(name)
        expected = ':'
      } else if (token === '}' && expected === 'a field name or }') {
        open.pop()
        expected = ended()
      } else return wrong()
      continue
    }
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : undefined)
      expected = token === '{' ? 'a field name or }' : 'a value or ]'
    } else if (token === ']' && expected === 'a value or ]') {
      open.pop()
      expected = ended()
    } else if (
      token.startsWith('"') ||
      token === 'true' ||
      token === 'false' ||
      token === 'null' ||
      NUMBER.test(token)
    ) {
      expected = ended()
    } else return wrong()
  }
}

function tokenEnd(text: string, at: number): number {
  TOKEN.lastIndex = at
  // Every character but the quote, which does not come here, begins a token.
  return TOKEN.test(text) ? TOKEN.lastIndex : at + 1
}

/** Behind the closing quote; undefined when there is none on this line, or something before it that may not be. */
function textEnd(text: string, at: number): number | undefined {
  for (let end = at + 1; end < text.length;) {
    const code = text.charCodeAt(end)
    if (code === 0x22) return end + 1
    if (code < 0x20) return undefined
    if (code !== 0x5c) {
      end += 1
      continue
    }
    ESCAPE.lastIndex = end
    if (!ESCAPE.test(text)) return undefined
    end = ESCAPE.lastIndex
  }
  return undefined
}

function shown(token: string): string {
  return token.length > 40 ? `${token.slice(0, 40)}…` : token
}

function problemAt(text: string, at: number, problem: string): JsonProblem {
  const before = text.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  let line = 1
  for (let end = before.indexOf('\n'); end !== -1; end = before.indexOf('\n', end + 1)) line += 1
  return { line, column: at - lineStart + 1, problem }
}
