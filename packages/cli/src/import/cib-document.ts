/** A Pacemaker CIB: its parts, and the ways in which all of them write names, values and scores. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { LeftOutList } from './imported.ts'
import { attributeOf, childOf, childrenOf, parseXml, type XmlElement } from './xml-tree.ts'

/** Scores from here on are infinite (Pacemaker Explained, "Scores"). */
const INFINITE_SCORE = 1_000_000

export class CibDocument {
  readonly configuration: XmlElement
  readonly status: XmlElement | undefined
  readonly leftOut: LeftOutList
  readonly #byId = new Map<string, XmlElement>()

  constructor(configuration: XmlElement, status: XmlElement | undefined, leftOut: LeftOutList) {
    this.configuration = configuration
    this.status = status
    this.leftOut = leftOut
    this.#index(configuration)
  }

  /** The element itself, or the one that it stands for by `id-ref`. */
  resolve(element: XmlElement): XmlElement {
    const id = attributeOf(element, 'id-ref')
    return id === '' ? element : (this.#byId.get(id) ?? element)
  }

  /** Name and value of all pairs in the element's sets of that kind (`meta_attributes`), the first of a name counts. */
  pairsOf(owner: XmlElement | undefined, kind: string): ReadonlyMap<string, string> {
    const pairs = new Map<string, string>()
    const sets = childrenOf(owner, kind).map((set) => this.resolve(set))
    const scoreOf = (set: XmlElement) => readScore(attributeOf(set, 'score')) ?? 0
    for (const set of sets.toSorted((a, b) => scoreOf(b) - scoreOf(a))) {
      if (childOf(set, 'rule') !== undefined) {
        this.leftOut.add(`${kind} with a rule`, at(set), 'they apply at times only; Stead knows no such values')
        continue
      }
      for (const pair of childrenOf(set, 'nvpair').map((one) => this.resolve(one))) {
        const name = attributeOf(pair, 'name')
        if (name !== '' && !pairs.has(name)) pairs.set(name, attributeOf(pair, 'value'))
      }
    }
    return pairs
  }

  #index(element: XmlElement): void {
    const id = attributeOf(element, 'id')
    if (id !== '' && !this.#byId.has(id)) this.#byId.set(id, element)
    for (const child of element.children) this.#index(child)
  }
}

/** Fails with `bad_request` when the text is no XML, or no CIB. */
export function readCib(text: string, leftOut: LeftOutList): Result<CibDocument> {
  const tree = parseXml(text)
  if (!tree.ok) return tree
  const root = tree.value
  const configuration = root.name === 'configuration' ? root : childOf(root, 'configuration')
  if ((root.name !== 'cib' && root.name !== 'configuration') || configuration === undefined) {
    const hint = 'Export one with `cibadmin --query` or `pcs cluster cib`'
    return fail(failure('bad_request', `This is no Pacemaker CIB: its first element is <${root.name}>`, { hint }))
  }
  return ok(new CibDocument(configuration, childOf(root, 'status'), leftOut))
}

/** `line 12, web-order`. */
export function at(element: XmlElement): string {
  const id = attributeOf(element, 'id') || attributeOf(element, 'id-ref') || attributeOf(element, 'uname')
  return id === '' ? `line ${element.line}` : `line ${element.line}, ${id}`
}

/** Undefined when it is none; `Infinity` and `-Infinity` for what Pacemaker takes as infinite. */
export function readScore(text: string): number | undefined {
  if (/^\+?infinity$/i.test(text)) return Infinity
  if (/^-infinity$/i.test(text)) return -Infinity
  if (!/^[+-]?\d{1,15}$/.test(text)) return undefined
  const score = Number(text)
  return score >= INFINITE_SCORE ? Infinity : score <= -INFINITE_SCORE ? -Infinity : score
}

/** A ban outweighs everything, as in Pacemaker. */
export function addScores(a: number, b: number): number {
  return a === -Infinity || b === -Infinity ? -Infinity : a + b
}

/** Pacemaker's words for true; everything else is false. */
export function isTrue(text: string | undefined): boolean {
  return /^(true|on|yes|y|1)$/i.test(text ?? '')
}
