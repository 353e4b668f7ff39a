/**
 * The section format of Proxmox VE's files: `type: id`, then indented `name value` lines, then an empty line. A boolean
 * that is true may stand without its value.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface Section {
  readonly type: string
  readonly id: string
  readonly line: number
  readonly properties: ReadonlyMap<string, Property>
}

export interface Property {
  readonly value: string
  readonly line: number
}

/** Fails with `bad_request`, naming the line. Comments (`#`) and empty lines are passed over. */
export function readSections(text: string): Result<Section[]> {
  const sections: Section[] = []
  let properties: Map<string, Property> | undefined
  for (const [index, content] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1
    if (/^\s*(#|$)/.test(content)) {
      if (content.trim() === '') properties = undefined
      continue
    }
    const words = content.trim()
    if (/^\s/.test(content)) {
      if (properties === undefined) return refuse(line, `\`${shown(words)}\` belongs to no section`)
      const [name = ''] = words.split(/\s/, 1)
      if (properties.has(name)) return refuse(line, `${shown(name)} is there twice`)
      properties.set(name, { value: words.slice(name.length).trim(), line })
      continue
    }
    const [, type, id] = /^([a-z][a-z0-9-]*):\s*(\S+)$/i.exec(words) ?? []
    if (type === undefined || id === undefined) {
      return refuse(line, `\`${shown(words)}\` is no section (\`type: id\`), and no indented property of one`)
    }
    properties = new Map()
    sections.push({ type, id, line, properties })
  }
  return ok(sections)
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function refuse(line: number, why: string): Result<Section[]> {
  const hint = 'Give files from /etc/pve/ha as they are'
  return fail(failure('bad_request', `The Proxmox VE file is not valid: line ${line}: ${why}`, { hint }))
}
