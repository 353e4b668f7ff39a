/**
 * Rules that can't all be kept, found when they are set and not when a host is lost. Each finding names the rules and
 * carries the proof in words. It speaks of rules alone: whether there is room is a question for `placeGuests`.
 */
import type { GuestId, HostId } from '../model/ids.ts'
import type { ApartRule, Rule, RuleId } from '../model/rule.ts'
import { orderCycleIn } from './order-cycle.ts'

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

/** Guests that strict rules keep together, and the hosts that strict rules leave for all of them. */
interface Group {
  readonly guests: ReadonlySet<GuestId>
  /** `together` rules that join them. */
  readonly joinedBy: ReadonlySet<RuleId>
}

/** Which hosts the strict rules leave to each guest. */
class Allowances {
  readonly hosts: readonly RuledHost[]
  readonly nameOf: (id: GuestId) => string
  readonly #rulesOf = new Map<GuestId, Rule[]>()
  readonly #groupOf = new Map<GuestId, Group>()
  /** Kind -> all domains of that kind. */
  readonly #allDomains = new Map<string, readonly string[]>()

  constructor(rules: readonly Rule[], hosts: readonly RuledHost[], nameOf: (id: GuestId) => string) {
    this.hosts = hosts
    this.nameOf = nameOf
    for (const rule of rules) {
      if (rule.kind === 'ban' || (rule.kind === 'hosts' && rule.strict))
        for (const guest of new Set(rule.guests)) this.#rulesOf.set(guest, [...(this.#rulesOf.get(guest) ?? []), rule])
      if (rule.kind === 'together' && rule.strict) this.#join(rule.guests, rule.id)
    }
  }

  groupOf(guest: GuestId): Group {
    return this.#groupOf.get(guest) ?? { guests: new Set([guest]), joinedBy: new Set() }
  }

  /** Hosts left to a guest and to all that must be with it. */
  allowedHosts(guest: GuestId): readonly RuledHost[] {
    const members = [...this.groupOf(guest).guests]
    return this.hosts.filter(({ id }) => members.every((member) => this.#allows(member, id)))
  }

  /** Of one kind, left to a guest and to all that must be with it. */
  allowedDomains(guest: GuestId, across: string): readonly string[] {
    if (this.#isLimited(guest)) return domainsOf(this.allowedHosts(guest), across)
    const all = this.#allDomains.get(across) ?? domainsOf(this.hosts, across)
    this.#allDomains.set(across, all)
    return all
  }

  #isLimited(guest: GuestId): boolean {
    return [...this.groupOf(guest).guests].some((member) => this.#rulesOf.has(member))
  }

  /** Rules that limit the hosts of a guest and of those that must be with it. */
  rulesOn(guest: GuestId): RuleId[] {
    const { guests, joinedBy } = this.groupOf(guest)
    const limits = [...guests].flatMap((member) => (this.#rulesOf.get(member) ?? []).map(({ id }) => id))
    return [...new Set([...joinedBy, ...limits])]
  }

  contradictions(): Contradiction[] {
    const found: Contradiction[] = []
    for (const guest of this.#rulesOf.keys()) {
      const rules = this.#rulesOf.get(guest) ?? []
      if (this.hosts.some(({ id }) => this.#allows(guest, id))) continue
      const limits = rules.map((rule) => limitInWords(rule)).join(', and ')
      found.push({
        kind: 'no-host',
        rules: rules.map(({ id }) => id),
        proof: `no host is left for ${this.nameOf(guest)}: ${limits}`,
      })
    }
    for (const group of new Set(this.#groupOf.values())) {
      const [first] = group.guests
      if (first === undefined || this.allowedHosts(first).length > 0) continue
      const members = [...group.guests]
      if (members.some((member) => !this.hosts.some(({ id }) => this.#allows(member, id)))) continue
      const limits = members.flatMap((member) => {
        const limited = this.#rulesOf.get(member) ?? []
        const allowed = this.hosts.filter(({ id }) => this.#allows(member, id)).map(({ id }) => id)
        const by = rulesInWords(limited.map(({ id }) => id))
        return limited.length === 0 ? [] : [`${this.nameOf(member)} may run only on ${list(allowed)} (${by})`]
      })
      found.push({
        kind: 'no-common-host',
        rules: this.rulesOn(first),
        proof: `${list(members.map(this.nameOf))} must be together (${rulesInWords([...group.joinedBy])}), but ${list(limits)}`,
      })
    }
    return found
  }

  #allows(guest: GuestId, host: HostId): boolean {
    return (this.#rulesOf.get(guest) ?? []).every((rule) => {
      if (rule.kind === 'ban') return !rule.hosts.includes(host)
      return rule.kind !== 'hosts' || rule.hosts.some((ranked) => ranked.host === host)
    })
  }

  #join(guests: readonly GuestId[], rule: RuleId): void {
    const groups = guests.map((guest) => this.groupOf(guest))
    const joined: Group = {
      guests: new Set(groups.flatMap((group) => [...group.guests])),
      joinedBy: new Set([...groups.flatMap((group) => [...group.joinedBy]), rule]),
    }
    for (const guest of joined.guests) this.#groupOf.set(guest, joined)
  }
}

/** A host without such a domain is one of its own, and must not be taken for a rack of the same name. */
function domainsOf(hosts: readonly RuledHost[], across: string): string[] {
  return [...new Set(hosts.map(({ id, faultDomains }) => faultDomains[across] ?? `host ${id}`))]
}

function apartContradictions(rule: ApartRule, allowances: Allowances): Contradiction[] {
  const guests = [...new Set(rule.guests)]
  for (const [index, one] of guests.entries()) {
    const group = allowances.groupOf(one)
    const other = guests.slice(index + 1).find((guest) => group.guests.has(guest))
    if (other === undefined) continue
    const [first, second] = [allowances.nameOf(one), allowances.nameOf(other)]
    const joinedBy = [...group.joinedBy]
    return [
      {
        kind: 'together-and-apart',
        rules: [...joinedBy, rule.id],
        proof: `${first} and ${second} must be together (${rulesInWords(joinedBy)}) and apart (rule ${rule.id})`,
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
  guests: readonly GuestId[],
  allowances: Allowances,
): { guests: GuestId[]; domains: string[] } | undefined {
  const choices = new Map(guests.map((guest) => [guest, allowances.allowedDomains(guest, rule.across)]))
  const takenBy = new Map<string, GuestId>()
  for (const guest of guests) {
    const reached = new Set<string>()
    const tried = new Set<GuestId>()
    const settle = (one: GuestId): boolean => {
      tried.add(one)
      for (const domain of choices.get(one) ?? []) {
        if (reached.has(domain)) continue
        reached.add(domain)
        const holder = takenBy.get(domain)
        if (holder !== undefined && !settle(holder)) continue
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
  const [first] = cycle.guests
  const around = [...cycle.guests, first!].map(nameOf).join(' before ')
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
  return words.length === 1 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
