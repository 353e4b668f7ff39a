/**
 * Regular expressions whose time is bounded by the length of the text times the size of the pattern, whatever either of
 * them is: all ways of matching are followed at once (Thompson's construction) rather than one after the other. What
 * cannot be followed that way (references back, looking ahead) is refused. Known: literals, `.`, classes, `\d \w \s` and
 * their opposites, groups, `|`, `* + ? {n,m}`, `^` and `$`.
 */
import { failure } from './errors.ts'
import { fail, ok, type Result } from './result.ts'

export const PATTERN_LENGTH_MAX = 200
const REPEATS_MAX = 100
const STATES_MAX = 1_000

export interface TextPattern {
  /** Whether a part of the line matches. */
  matches(line: string): boolean
}

type Test = (character: string) => boolean
type Node =
  | { readonly kind: 'character'; readonly test: Test }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'sequence'; readonly nodes: readonly Node[] }
  | { readonly kind: 'choice'; readonly nodes: readonly Node[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly least: number; readonly most: number }

/** One step of the compiled pattern; numbers are places in the program. */
type Step = { readonly kind: 'character'; readonly test: Test } | { readonly kind: 'start' | 'end' | 'match' } | Split

/** Goes on at several places at once. */
interface Split {
  readonly kind: 'split'
  readonly at: number
  ways: readonly number[]
}

/** Fails with `bad_request`, saying where. */
export function parsePattern(text: string): Result<TextPattern> {
  if (text.length > PATTERN_LENGTH_MAX) return refuse(`it is longer than ${PATTERN_LENGTH_MAX} characters`)
  try {
    const program: Step[] = []
    compile(new Reader(text).pattern(), program)
    program.push({ kind: 'match' })
    return ok({ matches: (line) => run(program, line) })
  } catch (error) {
    if (error instanceof PatternError) return refuse(error.message)
    throw error
  }
}

class PatternError extends Error {}

function refuse(why: string): Result<TextPattern> {
  const hint = 'Known are literals, `.`, `[a-z]`, `\\d \\w \\s`, groups, `|`, `* + ? {2,5}`, `^` and `$`'
  return fail(failure('bad_request', `The pattern cannot be used: ${why}`, { hint }))
}

const CLASSES: Readonly<Record<string, Test>> = {
  d: (c) => c >= '0' && c <= '9',
  w: (c) => /^\w$/.test(c),
  s: (c) => /^\s$/.test(c),
}
const CONTROLS: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n', f: '\f', v: '\v' }

/** Recursive descent, as deep as groups are nested. */
class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  pattern(): Node {
    const node = this.#choice()
    if (this.#at < this.#text.length) throw this.#error('`)` closes nothing')
    return node
  }

  #choice(): Node {
    const nodes = [this.#sequence()]
    while (this.#take('|')) nodes.push(this.#sequence())
    return { kind: 'choice', nodes }
  }

  #sequence(): Node {
    const nodes: Node[] = []
    while (this.#at < this.#text.length && this.#next !== '|' && this.#next !== ')') nodes.push(this.#repeated())
    return { kind: 'sequence', nodes }
  }

  #repeated(): Node {
    const node = this.#single()
    const bounds = this.#bounds()
    if (!bounds) return node
    if (node.kind === 'start' || node.kind === 'end') throw this.#error('there is nothing to repeat')
    // `a*?` asks for the shortest match, which makes no difference to whether there is one.
    this.#take('?')
    if (this.#bounds()) throw this.#error('a repeat of a repeat needs a group')
    return { kind: 'repeat', node, least: bounds[0], most: bounds[1] }
  }

  #bounds(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity]
    if (this.#take('+')) return [1, Infinity]
    if (this.#take('?')) return [0, 1]
    const braces = /^\{(\d{1,3})(,(\d{1,3})?)?\}/.exec(this.#text.slice(this.#at))
    if (!braces) return undefined
    this.#at += braces[0].length
    const least = Number(braces[1])
    const most = braces[2] === undefined ? least : braces[3] === undefined ? Infinity : Number(braces[3])
    if (most < least) throw this.#error(`${braces[0]} ends before it begins`)
    if (least > REPEATS_MAX || (most !== Infinity && most > REPEATS_MAX))
      throw this.#error(`${braces[0]} repeats more than ${REPEATS_MAX} times`)
    return [least, most]
  }

  #single(): Node {
    const character = this.#text[this.#at++] ?? ''
    switch (character) {
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '.':
        return { kind: 'character', test: () => true }
      case '[':
        return { kind: 'character', test: this.#class() }
      case '\\':
        return { kind: 'character', test: this.#escape() }
      case '(':
        return this.#group()
      case '*':
      case '+':
      case '?':
        throw this.#error(`there is nothing before \`${character}\` to repeat`)
      default:
        return { kind: 'character', test: (c) => c === character }
    }
  }

  #group(): Node {
    if (this.#take('?') && !this.#take(':')) throw this.#error('looking ahead or behind is not known')
    const node = this.#choice()
    if (!this.#take(')')) throw this.#error('a `(` is not closed')
    return node
  }

  #escape(): Test {
    const character = this.#text[this.#at++]
    if (character === undefined) throw this.#error('it ends with a `\\`')
    const named = CLASSES[character]
    if (named) return named
    const opposite = CLASSES[character.toLowerCase()]
    if (opposite) return (c) => !opposite(c)
    const control = CONTROLS[character]
    if (control !== undefined) return (c) => c === control
    if (/[a-z0-9]/i.test(character)) throw this.#error(`\`\\${character}\` is not known`)
    return (c) => c === character
  }

  #class(): Test {
    const isOpposite = this.#take('^')
    const tests: Test[] = []
    for (let first = true; first || this.#next !== ']'; first = false) {
      const from = this.#text[this.#at++]
      if (from === undefined) throw this.#error('a `[` is not closed')
      if (from === '\\') {
        tests.push(this.#escape())
        continue
      }
      const to = this.#next === '-' && this.#text[this.#at + 1] !== ']' ? this.#text[this.#at + 1] : undefined
      if (to === undefined) tests.push((c) => c === from)
      else {
        if (to < from || to === '\\') throw this.#error(`\`${from}-${to}\` is no range`)
        this.#at += 2
        tests.push((c) => c >= from && c <= to)
      }
    }
    this.#at++
    return isOpposite ? (c) => !tests.some((test) => test(c)) : (c) => tests.some((test) => test(c))
  }

  get #next(): string | undefined {
    return this.#text[this.#at]
  }

  #take(character: string): boolean {
    if (this.#next !== character) return false
    this.#at++
    return true
  }

  #error(why: string): PatternError {
    return new PatternError(`${why} (at character ${Math.min(this.#at, this.#text.length)})`)
  }
}

function compile(node: Node, program: Step[]): void {
  if (program.length > STATES_MAX) throw new PatternError('it is too large once its repeats are written out')
  switch (node.kind) {
    case 'character':
    case 'start':
    case 'end':
      program.push(node)
      break
    case 'sequence':
      for (const each of node.nodes) compile(each, program)
      break
    case 'choice':
      compileChoice(node.nodes, program)
      break
    case 'repeat':
      for (let count = 0; count < node.least; count++) compile(node.node, program)
      if (node.most === Infinity) compileLoop(node.node, program)
      else compileOptions(node.node, node.most - node.least, program)
  }
}

function compileChoice(nodes: readonly Node[], program: Step[]): void {
  const exits: Split[] = []
  for (const [index, node] of nodes.entries()) {
    if (index === nodes.length - 1) {
      compile(node, program)
      break
    }
    const fork = split(program)
    compile(node, program)
    exits.push(split(program))
    fork.ways = [fork.at + 1, program.length]
  }
  for (const exit of exits) exit.ways = [program.length]
}

function compileLoop(node: Node, program: Step[]): void {
  const fork = split(program)
  compile(node, program)
  split(program).ways = [fork.at]
  fork.ways = [fork.at + 1, program.length]
}

function compileOptions(node: Node, count: number, program: Step[]): void {
  const forks: Split[] = []
  for (let left = count; left > 0; left--) {
    forks.push(split(program))
    compile(node, program)
  }
  for (const fork of forks) fork.ways = [fork.at + 1, program.length]
}

function split(program: Step[]): Split {
  const step: Split = { kind: 'split', at: program.length, ways: [] }
  program.push(step)
  return step
}

/** All places that can be reached are followed together: each character costs one look at each of them. */
function run(program: readonly Step[], line: string): boolean {
  let places = new Set<number>()
  for (let at = 0; ; at++) {
    // A match may begin anywhere.
    if (follow(program, 0, at, line.length, places)) return true
    if (at === line.length) return false
    const character = line[at] ?? ''
    const next = new Set<number>()
    for (const place of places) {
      const step = program[place]
      if (step?.kind !== 'character' || !step.test(character)) continue
      if (follow(program, place + 1, at + 1, line.length, next)) return true
    }
    places = next
  }
}

/** Adds what is reached from a place without reading on. True when the pattern's end is. */
function follow(program: readonly Step[], from: number, at: number, length: number, places: Set<number>): boolean {
  const open = [from]
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    if (places.has(place)) continue
    places.add(place)
    const step = program[place]
    if (step?.kind === 'match') return true
    if (step?.kind === 'split') open.push(...step.ways)
    if ((step?.kind === 'start' && at === 0) || (step?.kind === 'end' && at === length)) open.push(place + 1)
  }
  return false
}
