/** Colocation and order constraints of a Pacemaker CIB as rules. Locations are in `cib-locations.ts`. */
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Rule, RuleId } from '@stead/core/model/rule.ts'
import { at, isTrue, readScore, type CibDocument } from './cib-document.ts'
import { isPlainRole } from './cib-locations.ts'
import type { CibResources, CibUnit } from './cib-resources.ts'
import type { NameBook } from './imported.ts'
import { attributeOf, childOf, childrenOf, type XmlElement } from './xml-tree.ts'

/** Two large sets without an order among them make this many pairs; more is not what anybody wrote by hand. */
const PAIRS_MAX = 10_000

/** What stands in the way of a constraint, in words. */
class NoCounterpart extends Error {
  override name = 'NoCounterpart'
}

interface ResourceSet {
  readonly units: readonly CibUnit[]
  readonly isSequential: boolean
}

export function constraintRules(cib: CibDocument, resources: CibResources, ruleIds: NameBook): Rule[] {
  const reader = new ConstraintReader(cib, resources, ruleIds)
  return (childOf(cib.configuration, 'constraints')?.children ?? []).flatMap((element) => reader.read(element))
}

/** Node attributes by which resources are kept together or apart. */
export function colocationAttributes(cib: CibDocument): ReadonlySet<string> {
  const colocations = childrenOf(childOf(cib.configuration, 'constraints'), 'rsc_colocation')
  const names = colocations.map((one) => attributeOf(one, 'node-attribute'))
  return new Set(names.filter((name) => name !== '' && name !== '#uname'))
}

class ConstraintReader {
  readonly #cib: CibDocument
  readonly #resources: CibResources
  readonly #ruleIds: NameBook

  constructor(cib: CibDocument, resources: CibResources, ruleIds: NameBook) {
    this.#cib = cib
    this.#resources = resources
    this.#ruleIds = ruleIds
  }

  read(element: XmlElement): Rule[] {
    if (element.name === 'rsc_location') return []
    try {
      if (element.name === 'rsc_colocation') return this.#colocation(element)
      if (element.name === 'rsc_order') return this.#order(element)
      throw new NoCounterpart(element.name === 'rsc_ticket' ? 'Stead has no tickets' : 'Stead knows nothing like it')
    } catch (error) {
      if (!(error instanceof NoCounterpart)) throw error
      this.#cib.leftOut.add(element.name.replace(/^rsc_/, ''), at(element), error.message)
      return []
    }
  }

  #colocation(element: XmlElement): Rule[] {
    const sets = this.#sets(element, 'role')
    const score = readScore(attributeOf(element, 'score') || attributeOf(sets[0]?.element ?? element, 'score') || '0')
    if (score === undefined) throw new NoCounterpart('its score can not be read')
    if (score === 0) throw new NoCounterpart('a score of 0 has no effect')
    const attribute = attributeOf(element, 'node-attribute')
    const across = attribute === '' || attribute === '#uname' ? 'host' : attribute
    const strict = Math.abs(score) === Infinity
    if (score > 0 && across !== 'host')
      throw new NoCounterpart(`Stead keeps guests together on one host, not by ${across}`)
    if (sets.length === 0) {
      const one = this.#named(element, 'rsc', 'rsc-role')
      const other = this.#named(element, 'with-rsc', 'with-rsc-role')
      if (score > 0) return [this.#together(element, [...other, ...one], strict)]
      return this.#pairs(other, one).map((pair) => this.#apart(element, pair, strict, across))
    }
    const [first] = sets
    if (sets.length === 1 && first?.isSequential === false)
      throw new NoCounterpart('its one set has no order, so it has no effect')
    if (score > 0)
      return [
        this.#together(
          element,
          sets.flatMap(({ units }) => units),
          strict,
        ),
      ]
    if (sets.length > 1)
      throw new NoCounterpart('several sets apart from each other; write one constraint for each pair')
    return [this.#apart(element, first?.units ?? [], strict, across)]
  }

  #together(element: XmlElement, units: readonly CibUnit[], strict: boolean): Rule {
    const guests = [...new Set(units.flatMap((unit) => unit.guests))]
    if (guests.length < 2) throw new NoCounterpart('it names one guest only')
    return { id: this.#id(element), kind: 'together', guests, strict }
  }

  /** One guest of each unit is enough: the others of a group are where that one is. */
  #apart(element: XmlElement, units: readonly CibUnit[], strict: boolean, across: string): Rule {
    const guests = [...new Set(units.flatMap((unit) => unit.guests.slice(0, 1)))]
    if (guests.length < 2) throw new NoCounterpart('it names one guest only')
    return { id: this.#id(element), kind: 'apart', guests, strict, across }
  }

  #order(element: XmlElement): Rule[] {
    const score = readScore(attributeOf(element, 'score'))
    const kind = attributeOf(element, 'kind') || (score === 0 ? 'Optional' : 'Mandatory')
    if (/^serialize$/i.test(kind)) throw new NoCounterpart('Stead has no rule against starting at the same time')
    const mode = /^optional$/i.test(kind) ? 'optional' : 'required'
    for (const name of ['first-action', 'then-action'])
      if (!/^(start)?$/i.test(attributeOf(element, name))) throw new NoCounterpart(`${name} is not start`)
    const sets = this.#sets(element, 'action')
    const stages =
      sets.length === 0
        ? [this.#named(element, 'first'), this.#named(element, 'then')]
        : sets.flatMap(({ units, isSequential }) => (isSequential ? units.map((unit) => [unit]) : [units]))
    const pairs = stages
      .slice(1)
      .flatMap((stage, index) =>
        this.#pairs(stages[index] ?? [], stage).flatMap(([before, after]) =>
          lastOf(before).flatMap((one) => firstOf(after).map((other) => [one, other] as const)),
        ),
      )
    if (pairs.length === 0) throw new NoCounterpart('it names one guest only')
    if (pairs.length > PAIRS_MAX) throw new NoCounterpart(`it stands for ${pairs.length} pairs of guests`)
    if (!isTrue(attributeOf(element, 'symmetrical') || 'true'))
      this.#cib.leftOut.add('symmetrical="false"', at(element), 'in Stead the opposite order holds for stopping')
    return chainsOf(pairs).map((guests) => ({ id: this.#id(element), kind: 'order', guests, readyAfterMs: 0, mode }))
  }

  #pairs(some: readonly CibUnit[], others: readonly CibUnit[]): (readonly [CibUnit, CibUnit])[] {
    const count = some.length * others.length
    if (count > PAIRS_MAX) throw new NoCounterpart(`it stands for ${count} pairs of guests`)
    return some.flatMap((one) => others.filter((other) => other !== one).map((other) => [one, other] as const))
  }

  #named(element: XmlElement, name: string, role?: string): readonly CibUnit[] {
    if (role !== undefined && !isPlainRole(attributeOf(element, role)))
      throw new NoCounterpart('roles of promotable clones have no counterpart')
    return this.#units(attributeOf(element, name))
  }

  #sets(element: XmlElement, roleOrAction: string): (ResourceSet & { readonly element: XmlElement })[] {
    return childrenOf(element, 'resource_set').map((one) => {
      const set = this.#cib.resolve(one)
      const value = attributeOf(set, roleOrAction)
      if (roleOrAction === 'role' && !isPlainRole(value))
        throw new NoCounterpart('roles of promotable clones have no counterpart')
      if (roleOrAction === 'action' && !/^(start)?$/i.test(value))
        throw new NoCounterpart(`the action of a set is ${value}`)
      const units = childrenOf(set, 'resource_ref').flatMap((ref) => this.#units(attributeOf(ref, 'id')))
      if (!isTrue(attributeOf(set, 'require-all') || 'true'))
        this.#cib.leftOut.add('require-all="false"', at(set), 'in Stead all of the set must run')
      return { element: set, units, isSequential: isTrue(attributeOf(set, 'sequential') || 'true') }
    })
  }

  #units(id: string): readonly CibUnit[] {
    const units = this.#resources.unitsOf.get(id)
    if (units === undefined) throw new NoCounterpart(this.#resources.missing.get(id) ?? `there is no resource ${id}`)
    return units
  }

  #id(element: XmlElement): RuleId {
    return this.#ruleIds.unused(attributeOf(element, 'id') || `line-${element.line}`) as RuleId
  }
}

function firstOf({ guests, inSequence }: CibUnit): readonly GuestId[] {
  return inSequence ? guests.slice(0, 1) : guests
}

function lastOf({ guests, inSequence }: CibUnit): readonly GuestId[] {
  return inSequence ? guests.slice(-1) : guests
}

/** `a before b` and `b before c`, where they follow each other, as one chain. */
function chainsOf(pairs: readonly (readonly [GuestId, GuestId])[]): GuestId[][] {
  const chains: GuestId[][] = []
  for (const [before, after] of pairs) {
    const chain = chains.at(-1)
    if (chain?.at(-1) === before && !chain.includes(after)) chain.push(after)
    else chains.push([before, after])
  }
  return chains
}
