/**
 * XML as a tree of elements, with the line of each. Text between elements, comments and processing instructions are
 * dropped: none of the formats that are imported keeps anything in them.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import sax from 'sax'

export interface XmlElement {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** Of its start tag, from 1. */
  readonly line: number
}

/** Deeper than any real file; a tree is walked by functions that call themselves. */
const DEPTH_MAX = 200
/** A cluster of 1,000 hosts and 100,000 guests with all their history has about two million. */
const ELEMENTS_MAX = 5_000_000

/** Only the five entities that XML itself defines. (The package's types do not know the option.) */
const OPTIONS: sax.SAXOptions & { readonly strictEntities: boolean } = { strictEntities: true, position: true }

/**
 * Fails with `bad_request`, naming the line; nothing malformed is repaired. A document type is refused: it is where entities that grow without bound,
 * or that read files, would be defined.
 */
export function parseXml(text: string): Result<XmlElement> {
  const body = text.replace(/^\uFEFF/, '')
  type Growing = XmlElement & { readonly children: XmlElement[] }
  const open: Growing[] = []
  let root: XmlElement | undefined
  let elements = 0
  let tagLine = 1
  const reader = sax.parser(true, OPTIONS)
  const stop = (why: string): never => {
    throw new Malformed(why, reader.line + 1)
  }
  reader.onerror = (error) => {
    throw new Malformed(error.message.split('\n')[0] ?? 'not well-formed', reader.line + 1)
  }
  reader.ondoctype = () => stop('a document type (<!DOCTYPE) is not taken')
  reader.onopentagstart = () => {
    // Told after the character behind the name, which may be the line's end.
    tagLine = body[reader.position - 1] === '\n' ? reader.line : reader.line + 1
  }
  reader.onopentag = ({ name, attributes }) => {
    if (root !== undefined && open.length === 0) stop(`a second root, <${name}>`)
    if (open.length >= DEPTH_MAX) stop(`elements are nested more than ${DEPTH_MAX} deep`)
    if (++elements > ELEMENTS_MAX) stop(`there are more than ${ELEMENTS_MAX.toLocaleString('en')} elements`)
    const element: Growing = {
      name,
      attributes: new Map(Object.entries(attributes).map(([key, value]) => [key, String(value)])),
      children: [],
      line: tagLine,
    }
    open.at(-1)?.children.push(element)
    root ??= element
    open.push(element)
  }
  reader.onclosetag = () => open.pop()
  try {
    reader.write(body).close()
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return refuse(`line ${error.line}: ${error.message}`, error)
  }
  return root === undefined ? refuse('there is no element in it') : ok(root)
}

class Malformed extends Error {
  override name = 'Malformed'
  readonly line: number
  constructor(message: string, line: number) {
    super(message)
    this.line = line
  }
}

function refuse(why: string, cause?: unknown): Result<XmlElement> {
  return fail(failure('bad_request', `The XML is not valid: ${why}`, { hint: 'Export the file again', cause }))
}

/** The children of that name, in order. */
export function childrenOf(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? []
}

export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((child) => child.name === name)
}

/** Empty when the element has no such attribute: the formats read here make no difference between the two. */
export function attributeOf(element: XmlElement, name: string): string {
  return element.attributes.get(name) ?? ''
}
