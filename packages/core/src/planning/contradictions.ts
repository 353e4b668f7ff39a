/**
 * Rules that can't all be kept, found when they are set and not when a host is lost. Each finding names the rules and
 * carries the proof in words. It speaks of rules alone: whether there is room is a question for `placeGuests`.
 */
import type { GuestId, HostId } from '../model/ids.ts'
import type { ApartRule, Rule, RuleId } from '../model/rule.ts'
import { orderCycleIn } from './order-cycle.ts'

/** A proof that names hundreds is read by nobody. */
const NAMED_MAX = 20

export interface Contradiction {
  readonly kind: 'unknown' | 'together-and-apart' | 'no-host' | 'no-common-host' | 'too-few-domains' | 'order-cycle'
  readonly rules: readonly RuleId[]
  /** What can't be, and why: "web1 and web2 must be together (rule a) and apart (rule b)". */
  readonly proof: string
}

export interface RuledGuest {
  readonly id: GuestId
  readonly name: string
}

export interface RuledHost {
  readonly id: HostId
  readonly faultDomains: Readonly<Record<string, string>>
}

/** In the order of the rules that show it; empty when all can be kept. */
export function contradictionsIn(
  rules: readonly Rule[],
  guests: readonly RuledGuest[],
  hosts: readonly RuledHost[],
): Contradiction[] {
  const known = { guests: new Set(guests.map(({ id }) => id)), hosts: new Set(hosts.map(({ id }) => id)) }
  const unknown = rules.flatMap((rule) => unknownNamesIn(rule, known, hosts))
  // The other proofs would be about things that do not exist.
  if (unknown.length > 0) return unknown
  const names = new Map(guests.map(({ id, name }) => [id, name]))
  const nameOf = (id: GuestId) => names.get(id) ?? id
  const allowances = new Allowances(rules, hosts, nameOf)
  return [
    ...allowances.contradictions(),
    ...rules.flatMap((rule) => (rule.kind === 'apart' && rule.strict ? apartContradictions(rule, allowances) : [])),
    ...orderContradictions(rules, nameOf),
  ]
}

function unknownNamesIn(
  rule: Rule,
  known: { readonly guests: ReadonlySet<GuestId>; readonly hosts: ReadonlySet<HostId> },
  hosts: readonly RuledHost[],
): Contradiction[] {
  const wantedHosts = rule.kind === 'hosts' ? rule.hosts.map(({ host }) => host) : rule.kind === 'ban' ? rule.hosts : []
  const missing = [
    ...rule.guests.filter((id) => !known.guests.has(id)).map((id) => `the guest ${id}`),
    ...wantedHosts.filter((id) => !known.hosts.has(id)).map((id) => `the host ${id}`),
  ]
  const proofs = missing.map((what) => `rule ${rule.id} names ${what}, which does not exist`)
  const isUnknownDomain =
    rule.kind === 'apart' &&
    rule.across !== 'host' &&
    hosts.every(({ faultDomains }) => faultDomains[rule.across] === undefined)
  if (isUnknownDomain) proofs.push(`rule ${rule.id} keeps guests apart by ${rule.across}, which no host has`)
  return proofs.map((proof) => ({ kind: 'unknown', rules: [rule.id], proof }))
}

/** Guests that strict rules keep together. Grows while the rules are read. */
interface Group {
  readonly guests: Set<GuestId>
  /** `together` rules that join them. */
  readonly joinedBy: Set<RuleId>
}

/** The hosts that strict rules leave: of `only`, where there is one, all that are not banned. */
interface Limits {
  readonly banned: ReadonlySet<HostId>
  readonly only: ReadonlySet<HostId> | undefined
}

const NO_LIMITS: Limits = { banned: new Set(), only: undefined }

/** Which hosts the strict rules leave to each guest. */
class Allowances {
  readonly hosts: readonly RuledHost[]
  readonly nameOf: (id: GuestId) => string
  readonly #rulesOf = new Map<GuestId, Rule[]>()
  readonly #groupOf = new Map<GuestId, Group>()
  /** Kind -> all domains of that kind. */
  readonly #allDomains = new Map<string, readonly string[]>()
  readonly #limitsOf = new Map<Group, Limits>()

  constructor(rules: readonly Rule[], hosts: readonly RuledHost[], nameOf: (id: GuestId) => string) {
    this.hosts = hosts
    this.nameOf = nameOf
    for (const rule of rules) {
      if (rule.kind === 'ban' || (rule.kind === 'hosts' && rule.strict)) {
        for (const guest of new Set(rule.guests)) {
          const known = this.#rulesOf.get(guest)
          if (known === undefined) this.#rulesOf.set(guest, [rule])
          else known.push(rule)
        }
      }
      if (rule.kind === 'together' && rule.strict) this.#join(rule.guests, rule.id)
    }
  }

  groupOf(guest: GuestId): Group {
    return this.#groupOf.get(guest) ?? { guests: new Set([guest]), joinedBy: new Set() }
  }

  /** Of one kind, left to a guest and to all that must be with it. */
  allowedDomains(guest: GuestId, across: string): readonly string[] {
    const limits = this.#groupLimits(this.groupOf(guest))
    if (limits !== NO_LIMITS) return domainsOf(this.#hostsWithin(limits), across)
    const all = this.#allDomains.get(across) ?? domainsOf(this.hosts, across)
    this.#allDomains.set(across, all)
    return all
  }

  /** Rules that limit the hosts of a guest and of those that must be with it. */
  rulesOn(guest: GuestId): RuleId[] {
    const { guests, joinedBy } = this.groupOf(guest)
    const limits = [...guests].flatMap((member) => (this.#rulesOf.get(member) ?? []).map(({ id }) => id))
    return [...new Set([...joinedBy, ...limits])]
  }

  contradictions(): Contradiction[] {
    const found: Contradiction[] = []
    const homeless = new Set<GuestId>()
    for (const [guest, rules] of this.#rulesOf) {
      if (this.#hostsWithin(limitsIn(rules)).length > 0) continue
      homeless.add(guest)
      const limits = rules
        .slice(0, NAMED_MAX)
        .map((rule) => limitInWords(rule))
        .join(', and ')
      found.push({
        kind: 'no-host',
        rules: rules.map(({ id }) => id),
        proof: `no host is left for ${this.nameOf(guest)}: ${limits}`,
      })
    }
    for (const group of new Set(this.#groupOf.values())) {
      const members = [...group.guests]
      const [first] = members
      if (first === undefined || this.#hostsWithin(this.#groupLimits(group)).length > 0) continue
      if (members.some((member) => homeless.has(member))) continue
      const limited = members.flatMap((member) => {
        const rules = this.#rulesOf.get(member)
        return rules === undefined ? [] : [{ member, rules }]
      })
      const limits = limited.slice(0, NAMED_MAX).map(({ member, rules }) => {
        const allowed = this.#hostsWithin(limitsIn(rules)).map(({ id }) => id)
        return `${this.nameOf(member)} may run only on ${list(allowed)} (${rulesInWords(rules.map(({ id }) => id))})`
      })
      found.push({
        kind: 'no-common-host',
        rules: this.rulesOn(first),
        proof: `${list(members.map(this.nameOf))} must be together (${rulesInWords([...group.joinedBy])}), but ${list(limits)}`,
      })
    }
    return found
  }

  #groupLimits(group: Group): Limits {
    const known = this.#limitsOf.get(group)
    if (known !== undefined) return known
    const limits = limitsIn([...group.guests].flatMap((member) => this.#rulesOf.get(member) ?? []))
    // That of a guest by itself is made anew with each question.
    if (group.guests.size > 1) this.#limitsOf.set(group, limits)
    return limits
  }

  #hostsWithin({ banned, only }: Limits): readonly RuledHost[] {
    return this.hosts.filter(({ id }) => !banned.has(id) && only?.has(id) !== false)
  }

  /** The smaller group goes into the larger one, so that a long chain of rules is joined in no time. */
  #join(guests: readonly GuestId[], rule: RuleId): void {
    const groups = [...new Set(guests.map((guest) => this.groupOf(guest)))]
    const [largest, ...others] = groups.toSorted((a, b) => b.guests.size - a.guests.size)
    if (largest === undefined) return
    for (const other of others) {
      for (const guest of other.guests) largest.guests.add(guest)
      for (const id of other.joinedBy) largest.joinedBy.add(id)
      for (const guest of other.guests) this.#groupOf.set(guest, largest)
    }
    largest.joinedBy.add(rule)
    for (const guest of guests) this.#groupOf.set(guest, largest)
  }
}

function limitsIn(rules: readonly Rule[]): Limits {
  if (rules.length === 0) return NO_LIMITS
  const banned = new Set<HostId>()
  let only: ReadonlySet<HostId> | undefined
  for (const rule of rules) {
    if (rule.kind === 'ban') for (const host of rule.hosts) banned.add(host)
    if (rule.kind !== 'hosts') continue
    const named = new Set(rule.hosts.map(({ host }) => host))
    only = only === undefined ? named : new Set([...only].filter((host) => named.has(host)))
  }
  return { banned, only }
}

/** A host without such a domain is one of its own, and must not be taken for a rack of the same name. */
function domainsOf(hosts: readonly RuledHost[], across: string): string[] {
  return [...new Set(hosts.map(({ id, faultDomains }) => faultDomains[across] ?? `host ${id}`))]
}

function apartContradictions(rule: ApartRule, allowances: Allowances): Contradiction[] {
  const guests = [...new Set(rule.guests)]
  const membersOf = new Map<Group, GuestId[]>()
  for (const guest of guests) {
    const group = allowances.groupOf(guest)
    membersOf.set(group, [...(membersOf.get(group) ?? []), guest])
  }
  for (const [{ joinedBy }, [one, other]] of membersOf) {
    if (one === undefined || other === undefined) continue
    const [first, second] = [allowances.nameOf(one), allowances.nameOf(other)]
    return [
      {
        kind: 'together-and-apart',
        rules: [...joinedBy, rule.id],
        proof: `${first} and ${second} must be together (${rulesInWords([...joinedBy])}) and apart (rule ${rule.id})`,
      },
    ]
  }
  const crowded = guestsWithTooFewDomains(rule, guests, allowances)
  if (crowded === undefined) return []
  const what = rule.across === 'host' ? 'host' : rule.across
  const limits = new Set(crowded.guests.flatMap((guest) => allowances.rulesOn(guest)))
  const because =
    limits.size === 0 ? 'there are only' : `${rulesInWords([...limits])} leave${limits.size === 1 ? 's' : ''} only`
  return [
    {
      kind: 'too-few-domains',
      rules: [rule.id, ...limits],
      proof:
        `${list(crowded.guests.map(allowances.nameOf))} must each be on another ${what} (rule ${rule.id}), ` +
        `but ${because} ${list(crowded.domains)}`,
    },
  ]
}

/**
 * Guests that together have fewer domains than they are, by Hall's theorem: they are found where a matching of guests
 * to domains can't be made bigger.
 */
function guestsWithTooFewDomains(
  rule: ApartRule,
  all: readonly GuestId[],
  allowances: Allowances,
): { guests: GuestId[]; domains: string[] } | undefined {
  const choices = new Map(all.map((guest) => [guest, allowances.allowedDomains(guest, rule.across)]))
  const choicesOf = (guest: GuestId) => choices.get(guest) ?? []
  // Whoever may choose among as many domains as there are guests finds one in the end, whatever the others take.
  let guests = all
  for (let before = Infinity; guests.length < before;) {
    before = guests.length
    guests = guests.filter((guest) => choicesOf(guest).length < before)
  }
  const takenBy = new Map<string, GuestId>()
  for (const guest of guests) {
    const reached = new Set<string>()
    const tried = new Set<GuestId>()
    const settle = (one: GuestId): boolean => {
      tried.add(one)
      const free = choicesOf(one).find((domain) => !takenBy.has(domain))
      if (free !== undefined) {
        takenBy.set(free, one)
        return true
      }
      for (const domain of choicesOf(one)) {
        if (reached.has(domain)) continue
        reached.add(domain)
        if (!settle(takenBy.get(domain)!)) continue
        takenBy.set(domain, one)
        return true
      }
      return false
    }
    if (settle(guest)) continue
    // Without any host left at all, the finding about the guest itself says it better.
    if (reached.size === 0) return undefined
    return {
      guests: guests.filter((one) => tried.has(one)),
      domains: [...reached].map((domain) => domain.replace(/^host /, '')),
    }
  }
  return undefined
}

function orderContradictions(rules: readonly Rule[], nameOf: (id: GuestId) => string): Contradiction[] {
  const cycle = orderCycleIn(rules)
  if (cycle === undefined) return []
  const names = cycle.guests.map(nameOf)
  const shown = names.length > NAMED_MAX ? [...names.slice(0, NAMED_MAX), '…'] : names
  const around = [...shown, names[0]].join(' before ')
  return [
    {
      kind: 'order-cycle',
      rules: cycle.rules,
      proof: `the order goes in a circle: ${around} (${rulesInWords(cycle.rules)})`,
    },
  ]
}

function limitInWords(rule: Rule): string {
  if (rule.kind === 'ban') return `rule ${rule.id} bans ${list(rule.hosts)}`
  if (rule.kind === 'hosts') return `rule ${rule.id} allows only ${list(rule.hosts.map(({ host }) => host))}`
  return `rule ${rule.id}`
}

function rulesInWords(rules: readonly RuleId[]): string {
  return `${rules.length === 1 ? 'rule' : 'rules'} ${list(rules)}`
}

function list(words: readonly string[]): string {
  if (words.length === 0) return 'none'
  if (words.length > NAMED_MAX) return `${words.slice(0, NAMED_MAX).join(', ')} and ${words.length - NAMED_MAX} others`
  return words.length === 1 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
