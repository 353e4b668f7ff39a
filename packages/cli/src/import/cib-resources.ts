/** The resources of a Pacemaker CIB as guests: primitives and groups, with what templates and defaults add to them. */
import type { FileGuest } from '@stead/core/model/cluster-file.ts'
import type { HaMode } from '@stead/core/model/guest.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Rule } from '@stead/core/model/rule.ts'
import { at, isTrue, readScore, type CibDocument } from './cib-document.ts'
import { utilizationOf } from './cib-utilization.ts'
import type { NameBook } from './imported.ts'
import { attributeOf, childOf, childrenOf, type XmlElement } from './xml-tree.ts'

/** What a constraint can be about: a primitive, or a group whose members stay together. Guests by name. */
export interface CibUnit {
  readonly guests: readonly GuestId[]
  /** True when they start one after the other, so that the first and the last stand for all. */
  readonly inSequence: boolean
}

export interface CibResources {
  readonly guests: ReadonlyMap<GuestId, FileGuest>
  /** Those at the top: no group around them. */
  readonly units: readonly CibUnit[]
  /** What the id of a resource, a template or a tag stands for. */
  readonly unitsOf: ReadonlyMap<string, readonly CibUnit[]>
  /** Why an id has no unit. */
  readonly missing: ReadonlyMap<string, string>
  readonly stickinessOf: ReadonlyMap<GuestId, number>
  /** From groups. */
  readonly rules: readonly Rule[]
  /** The id in the CIB -> the guest: the status speaks of ids. */
  readonly guestOf: ReadonlyMap<string, GuestId>
}

/** A service without utilization takes next to nothing. */
const ASSUMED_MEMORY_BYTES = 2 ** 20
const PRIORITY_MAX = 1000
const TRIES_MAX = 100

/** Meta attributes that say nothing about places, or that are read where they are needed. */
const READ_META = new Set([
  'priority',
  'resource-stickiness',
  'migration-threshold',
  'target-role',
  'is-managed',
  'maintenance',
  'ordered',
  'collocated',
  'allow-migrate',
])

export class CibResourceReader {
  readonly #cib: CibDocument
  readonly #names: NameBook
  readonly #ruleIds: NameBook
  readonly #defaults: ReadonlyMap<string, string>
  readonly #templates: ReadonlyMap<string, XmlElement>
  readonly #guests = new Map<GuestId, FileGuest>()
  readonly #units: CibUnit[] = []
  readonly #unitsOf = new Map<string, readonly CibUnit[]>()
  readonly #missing = new Map<string, string>()
  readonly #stickinessOf = new Map<GuestId, number>()
  readonly #guestOf = new Map<string, GuestId>()
  readonly #rules: Rule[] = []

  constructor(cib: CibDocument, names: { readonly guests: NameBook; readonly rules: NameBook }) {
    this.#cib = cib
    this.#names = names.guests
    this.#ruleIds = names.rules
    const templates = childrenOf(childOf(cib.configuration, 'resources'), 'template')
    this.#templates = new Map(templates.map((template) => [attributeOf(template, 'id'), template]))
    this.#defaults = cib.pairsOf(childOf(cib.configuration, 'rsc_defaults'), 'meta_attributes')
  }

  read(): CibResources {
    for (const element of childOf(this.#cib.configuration, 'resources')?.children ?? []) {
      if (element.name === 'primitive') this.#alone(element)
      else if (element.name === 'group') this.#group(element)
      else if (element.name !== 'template') this.#leaveOut(element, whyNoGuest(element.name))
    }
    this.#nameTemplatesAndTags()
    return {
      guests: this.#guests,
      units: this.#units,
      unitsOf: this.#unitsOf,
      missing: this.#missing,
      stickinessOf: this.#stickinessOf,
      rules: this.#rules,
      guestOf: this.#guestOf,
    }
  }

  #alone(element: XmlElement): void {
    const guest = this.#primitive(element, new Map())
    if (guest !== undefined) this.#units.push(...(this.#unitsOf.get(attributeOf(element, 'id')) ?? []))
  }

  #group(element: XmlElement): void {
    const id = attributeOf(element, 'id')
    const meta = this.#cib.pairsOf(element, 'meta_attributes')
    const members = childrenOf(element, 'primitive').flatMap((one) => this.#primitive(one, meta) ?? [])
    this.#remarkMeta(element, meta)
    if (members.length === 0) return this.#leaveOut(element, 'nothing is left in it')
    const [isTogether, inSequence] = ['collocated', 'ordered'].map((name) => isTrue(meta.get(name) ?? 'true'))
    const whole = { guests: members, inSequence: inSequence === true }
    const units = isTogether === true ? [whole] : members.map((guest) => ({ guests: [guest], inSequence: true }))
    this.#units.push(...units)
    this.#unitsOf.set(id, units)
    if (members.length === 1) return
    if (isTogether === true) {
      this.#rules.push({ id: this.#ruleIds.unused(id) as Rule['id'], kind: 'together', guests: members, strict: true })
    }
    if (inSequence === true) {
      const order = this.#ruleIds.unused(`${id}-order`) as Rule['id']
      this.#rules.push({ id: order, kind: 'order', guests: members, readyAfterMs: 0, mode: 'required' })
    }
  }

  /** Its guest; undefined when it is none. */
  #primitive(element: XmlElement, groupMeta: ReadonlyMap<string, string>): GuestId | undefined {
    const id = attributeOf(element, 'id')
    const template = this.#templates.get(attributeOf(element, 'template'))
    const kind = (name: string) => attributeOf(element, name) || (template ? attributeOf(template, name) : '')
    if (kind('class') === 'stonith') {
      this.#leaveOut(element, 'fence devices are set per host in Stead', 'fence device')
      return undefined
    }
    if (kind('provider') === 'pacemaker' && kind('type') === 'remote') {
      this.#leaveOut(element, 'the connection to a remote node is no guest', 'remote node')
      return undefined
    }
    if (id === '' || this.#guestOf.has(id)) {
      this.#leaveOut(element, id === '' ? 'it has no id' : 'another resource has its id')
      return undefined
    }
    const ownMeta = this.#cib.pairsOf(element, 'meta_attributes')
    this.#remarkMeta(element, ownMeta)
    const templateMeta = this.#cib.pairsOf(template, 'meta_attributes')
    const meta = new Map([...this.#defaults, ...groupMeta, ...templateMeta, ...ownMeta])
    const guest = this.#names.of(id) as GuestId
    this.#guests.set(guest, { name: guest, ...this.#sizes(element, template), ...this.#haSettings(element, meta) })
    this.#guestOf.set(id, guest)
    this.#unitsOf.set(id, [{ guests: [guest], inSequence: true }])
    this.#stickinessOf.set(guest, readScore(meta.get('resource-stickiness') ?? '0') ?? 0)
    for (const [child, what] of [
      ['instance_attributes', 'parameters of resources'],
      ['operations', 'operations (monitors, timeouts)'],
    ] as const) {
      if (childOf(element, child))
        this.#cib.leftOut.add(what, at(element), 'a cluster file does not say how a guest is run')
    }
    return guest
  }

  #sizes(element: XmlElement, template: XmlElement | undefined): { memoryBytes: number; cpus: number } {
    const found = utilizationOf(this.#cib, element, template)
    if (found.memoryBytes === undefined)
      this.#cib.leftOut.add(
        'memory of a resource',
        at(element),
        'it has no utilization: 1 MiB and no processor are assumed',
      )
    return { memoryBytes: found.memoryBytes ?? ASSUMED_MEMORY_BYTES, cpus: found.cpus ?? 0 }
  }

  #haSettings(element: XmlElement, meta: ReadonlyMap<string, string>): Partial<FileGuest> {
    const isUnmanaged = !isTrue(meta.get('is-managed') ?? 'true') || isTrue(meta.get('maintenance'))
    const ha: HaMode = isUnmanaged
      ? 'ignored'
      : /^stopped$/i.test(meta.get('target-role') ?? '')
        ? 'stopped'
        : 'started'
    const wanted = readScore(meta.get('priority') ?? '0') ?? 0
    const priority = Math.max(-PRIORITY_MAX, Math.min(PRIORITY_MAX, wanted))
    if (priority !== wanted)
      this.#cib.leftOut.add('priority out of range', at(element), `Stead's go from -${PRIORITY_MAX} to ${PRIORITY_MAX}`)
    const threshold = readScore(meta.get('migration-threshold') ?? '')
    // So many failures move it away; 0 and INFINITY never do.
    const maxRestart = threshold === 0 || threshold === Infinity ? TRIES_MAX : (threshold ?? 0) - 1
    return {
      ...(ha === 'started' ? {} : { ha }),
      ...(priority === 0 ? {} : { priority }),
      ...(threshold === undefined || threshold < 0 ? {} : { maxRestart: Math.min(maxRestart, TRIES_MAX) }),
    }
  }

  #remarkMeta(element: XmlElement, meta: ReadonlyMap<string, string>): void {
    for (const name of meta.keys()) {
      if (!READ_META.has(name))
        this.#cib.leftOut.add(`meta attribute ${name}`, at(element), 'Stead has no such setting')
    }
  }

  #leaveOut(element: XmlElement, why: string, what = element.name): void {
    this.#cib.leftOut.add(what, at(element), why)
    const forget = (one: XmlElement) => {
      const id = attributeOf(one, 'id')
      if (['primitive', 'group', 'clone', 'master', 'bundle'].includes(one.name) && id !== '' && !this.#unitsOf.has(id))
        this.#missing.set(id, `${id} was left out`)
      for (const child of one.children) forget(child)
    }
    forget(element)
  }

  /** A constraint may name a template or a tag; it is then about all that it stands for. */
  #nameTemplatesAndTags(): void {
    const resources = childOf(this.#cib.configuration, 'resources')
    const primitives = [
      ...childrenOf(resources, 'primitive'),
      ...childrenOf(resources, 'group').flatMap((group) => childrenOf(group, 'primitive')),
    ]
    const stand = (id: string, ids: readonly string[]) => {
      const units = ids.flatMap((one) => this.#unitsOf.get(one) ?? [])
      if (units.length > 0 && !this.#unitsOf.has(id)) this.#unitsOf.set(id, units)
      else if (!this.#unitsOf.has(id)) this.#missing.set(id, `nothing is left of ${id}`)
    }
    for (const template of this.#templates.keys()) {
      const made = primitives.filter((primitive) => attributeOf(primitive, 'template') === template)
      stand(
        template,
        made.map((primitive) => attributeOf(primitive, 'id')),
      )
    }
    for (const tag of childrenOf(childOf(this.#cib.configuration, 'tags'), 'tag')) {
      stand(
        attributeOf(tag, 'id'),
        childrenOf(tag, 'obj_ref').map((one) => attributeOf(one, 'id')),
      )
    }
  }
}

function whyNoGuest(kind: string): string {
  if (kind === 'clone' || kind === 'master') return 'a guest of Stead runs once, not on every host'
  if (kind === 'bundle') return 'Stead runs no replicated containers'
  return 'Stead knows nothing like it'
}
