/**
 * Puts an xterm.js terminal into a page whose Content-Security-Policy allows no inline style: its style elements get the
 * page's nonce, and what it writes into style attributes (colours beyond the palette) is set by script instead, which the
 * policy leaves free. Tried with xterm.js 6.0.
 */
import type { ITerminalInitOnlyOptions, ITerminalOptions, Terminal } from '@xterm/xterm'
import { pageNonce } from '../app/nonce.ts'

type Make = (name: string) => HTMLElement

/** To make the terminal with. */
export function strictly(options: ITerminalOptions & ITerminalInitOnlyOptions): typeof options {
  return { ...options, documentOverride: strictDocument(document) }
}

/** Instead of `terminal.open(place)`. */
export function openStrictly(terminal: Terminal, place: HTMLElement): void {
  // A part of xterm.js asks for the window's own document, and only here.
  document.createElement = strictMaker((name) => Document.prototype.createElement.call(document, name))
  try {
    terminal.open(place)
  } finally {
    Reflect.deleteProperty(document, 'createElement')
  }
}

function strictDocument(real: Document): Document {
  const createElement = strictMaker((name) => Document.prototype.createElement.call(real, name))
  return new Proxy(real, {
    get(_, property) {
      if (property === 'createElement') return createElement
      const value: unknown = Reflect.get(real, property)
      return typeof value === 'function' ? value.bind(real) : value
    },
  })
}

function strictMaker(make: Make): typeof document.createElement {
  const nonce = pageNonce()
  return ((name: string) => {
    const element = make(name)
    if (name === 'style') element.nonce = nonce
    else if (name === 'span') element.setAttribute = setAttribute
    return element
  }) as typeof document.createElement
}

function setAttribute(this: HTMLElement, name: string, value: string): void {
  if (name === 'style') this.style.cssText = value
  else Element.prototype.setAttribute.call(this, name, value)
}
