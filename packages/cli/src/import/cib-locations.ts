/** Location constraints: all scores of a resource on a host are added up, as Pacemaker does, and become its rules. */
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { RankedHost, Rule, RuleId } from '@stead/core/model/rule.ts'
import { addScores, at, readScore, type CibDocument } from './cib-document.ts'
import type { CibResources, CibUnit } from './cib-resources.ts'
import type { NameBook } from './imported.ts'
import { attributeOf, childOf, childrenOf, type XmlElement } from './xml-tree.ts'

interface Scores {
  readonly unit: CibUnit
  readonly byHost: Map<HostId, number>
  /** Ids of the constraints, in order. */
  readonly from: string[]
  /** Runs only where a constraint names the host (`resource-discovery="exclusive"`). */
  isExclusive: boolean
}

export interface LocationRules {
  readonly rules: readonly Rule[]
  /** Guests that stay where they are when a host that they prefer comes back. */
  readonly staying: ReadonlySet<GuestId>
  /** Guests that may run nowhere. */
  readonly homeless: ReadonlySet<GuestId>
}

export interface LocationContext {
  readonly cib: CibDocument
  readonly resources: CibResources
  readonly hosts: readonly HostId[]
  readonly hostOf: ReadonlyMap<string, HostId>
  readonly ruleIds: NameBook
  /** False: a resource runs only on nodes that a constraint names. */
  readonly isSymmetric: boolean
}

export function locationRules(context: LocationContext): LocationRules {
  const all = new Map<CibUnit, Scores>()
  for (const element of childrenOf(childOf(context.cib.configuration, 'constraints'), 'rsc_location'))
    for (const found of scoresIn(element, context)) add(all, found, element)
  const rules: Rule[] = []
  const staying = new Set<GuestId>()
  const homeless = new Set<GuestId>()
  if (!context.isSymmetric) {
    for (const unit of context.resources.units) {
      const scores = all.get(unit) ?? { unit, byHost: new Map(), from: [], isExclusive: true }
      scores.isExclusive = true
      all.set(unit, scores)
    }
  }
  for (const scores of all.values()) {
    rules.push(...rulesOf(scores, context))
    if (scores.isExclusive && [...scores.byHost.values()].every((score) => score === -Infinity))
      for (const guest of scores.unit.guests) homeless.add(guest)
    if (staysPut(scores, context)) for (const guest of scores.unit.guests) staying.add(guest)
  }
  return { rules, staying, homeless }
}

interface Found {
  readonly units: readonly CibUnit[]
  readonly host: HostId
  readonly score: number
}

function scoresIn(element: XmlElement, { cib, resources, hostOf }: LocationContext): Found[] {
  const leaveOut = (why: string) => {
    cib.leftOut.add('location', at(element), why)
    return []
  }
  if (childOf(element, 'rule') !== undefined) return leaveOut('rules on attributes or dates have no counterpart')
  if (attributeOf(element, 'rsc-pattern') !== '') return leaveOut('a pattern is not evaluated; name the resources')
  if (!isPlainRole(attributeOf(element, 'role'))) return leaveOut('roles of promotable clones have no counterpart')
  const score = readScore(attributeOf(element, 'score'))
  if (score === undefined) return leaveOut('it has no score that could be read')
  const host = hostOf.get(attributeOf(element, 'node'))
  if (host === undefined) return leaveOut(`there is no node ${attributeOf(element, 'node')}`)
  const sets = childrenOf(element, 'resource_set').flatMap((set) => childrenOf(cib.resolve(set), 'resource_ref'))
  const ids = sets.length === 0 ? [attributeOf(element, 'rsc')] : sets.map((one) => attributeOf(one, 'id'))
  return ids.flatMap((id) => {
    const units = resources.unitsOf.get(id)
    if (units === undefined) return leaveOut(resources.missing.get(id) ?? `there is no resource ${id}`)
    return [{ units, host, score }]
  })
}

function add(all: Map<CibUnit, Scores>, { units, host, score }: Found, element: XmlElement): void {
  for (const unit of units) {
    const scores = all.get(unit) ?? { unit, byHost: new Map<HostId, number>(), from: [], isExclusive: false }
    all.set(unit, scores)
    scores.byHost.set(host, addScores(scores.byHost.get(host) ?? 0, score))
    scores.from.push(attributeOf(element, 'id') || `line ${element.line}`)
    if (attributeOf(element, 'resource-discovery') === 'exclusive') scores.isExclusive = true
  }
}

function rulesOf({ unit, byHost, from, isExclusive }: Scores, { hosts, ruleIds }: LocationContext): Rule[] {
  const { guests } = unit
  const banned = hosts.filter((host) => byHost.get(host) === -Infinity)
  const open = hosts.filter((host) => byHost.get(host) !== -Infinity && (!isExclusive || byHost.has(host)))
  const id = () => ruleIds.unused(from[0] ?? `${guests[0]}-hosts`) as RuleId
  const comments = [
    ...(from.length > 1 ? [`from ${from.slice(0, 10).join(', ')}${from.length > 10 ? ' and others' : ''}`] : []),
    ...([...byHost.values()].includes(Infinity)
      ? ['INFINITY prefers a host in Pacemaker, it does not rule out others']
      : []),
  ]
  const comment = comments.length === 0 ? {} : { comment: comments.join('; ').slice(0, 500) }
  if (isExclusive) {
    if (open.length === 0) return []
    return [{ id: id(), ...comment, kind: 'hosts', guests, hosts: ranked(open, byHost), strict: true }]
  }
  const rules: Rule[] = []
  if (banned.length > 0) rules.push({ id: id(), kind: 'ban', guests, hosts: banned })
  const scores = new Set(open.map((host) => byHost.get(host) ?? 0))
  // All alike is no wish. The lowest are those that remain when no other is there.
  if (scores.size > 1) {
    const lowest = Math.min(...scores)
    const wished = open.filter((host) => (byHost.get(host) ?? 0) > lowest)
    rules.push({ id: id(), ...comment, kind: 'hosts', guests, hosts: ranked(wished, byHost), strict: false })
  }
  return rules
}

/** Scores only say which host is before which: 0 for the lowest of these. */
function ranked(hosts: readonly HostId[], byHost: ReadonlyMap<HostId, number>): RankedHost[] {
  const scores = [...new Set(hosts.map((host) => byHost.get(host) ?? 0))].toSorted((a, b) => (a < b ? -1 : 1))
  return hosts.map((host) => ({ host, priority: scores.indexOf(byHost.get(host) ?? 0) }))
}

/**
 * Pacemaker moves a resource back when the score of the better node is above that of its own plus the stickiness, which
 * for a group is the sum of its members'.
 */
function staysPut({ unit, byHost }: Scores, { hosts, resources }: LocationContext): boolean {
  const scores = hosts.map((host) => byHost.get(host) ?? 0).filter((score) => score !== -Infinity)
  if (scores.length === 0) return false
  const best = Math.max(...scores)
  const worst = Math.min(...scores)
  if (best === worst) return false
  const stickiness = unit.guests.reduce((sum, guest) => addScores(sum, resources.stickinessOf.get(guest) ?? 0), 0)
  return stickiness === Infinity || best <= worst + stickiness
}

/** Nothing, or the role that everything has that is no promotable clone. */
export function isPlainRole(role: string): boolean {
  return role === '' || /^started$/i.test(role)
}
