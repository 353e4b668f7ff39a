/**
 * What the administrator demands of the places and the order of guests. A strict rule is never broken: a guest for
 * which it leaves no host waits, and says so. One that is not strict is a wish, weighed against the others.
 */
import type { Branded, GuestId, HostId } from './ids.ts'

/** Chosen by the administrator, a DNS label: `web-apart`. */
export type RuleId = Branded<'RuleId'>

interface RuleBase {
  readonly id: RuleId
  readonly comment?: string
}

/** All on one host. */
export interface TogetherRule extends RuleBase {
  readonly kind: 'together'
  readonly guests: readonly GuestId[]
  readonly strict: boolean
}

/** No two on one host, or in one fault domain of a kind (`rack`). Hosts without such a domain are each one of their own. */
export interface ApartRule extends RuleBase {
  readonly kind: 'apart'
  readonly guests: readonly GuestId[]
  readonly strict: boolean
  /** `host`, or a kind of fault domain. */
  readonly across: string
}

export interface RankedHost {
  readonly host: HostId
  /** The highest that is available wins; equal ones are equal. From 0. */
  readonly priority: number
}

/** These hosts only (strict), or these before all others. */
export interface HostsRule extends RuleBase {
  readonly kind: 'hosts'
  readonly guests: readonly GuestId[]
  readonly hosts: readonly RankedHost[]
  readonly strict: boolean
}

/** Never on these hosts. */
export interface BanRule extends RuleBase {
  readonly kind: 'ban'
  readonly guests: readonly GuestId[]
  readonly hosts: readonly HostId[]
}

/** Each guest starts only once the one before it is ready; they stop in the opposite order when stopped together. */
export interface OrderRule extends RuleBase {
  readonly kind: 'order'
  readonly guests: readonly GuestId[]
  /** How long a guest must have run before it counts as ready, ms. */
  readonly readyAfterMs: number
  /**
   * `required`: the later guest starts only while the earlier one runs. `optional`: it waits only for an earlier one
   * that is to run as well.
   */
  readonly mode: 'required' | 'optional'
  /** What the later guest waits for: that the earlier one runs (when absent), or that its probe has found it ready. */
  readonly until?: 'running' | 'ready'
}

export type Rule = TogetherRule | ApartRule | HostsRule | BanRule | OrderRule
export type RuleKind = Rule['kind']

/** A rule about fewer guests says nothing. */
export function guestsMin(kind: RuleKind): number {
  return kind === 'hosts' || kind === 'ban' ? 1 : 2
}

/** The rule as it stands once a guest is gone; undefined when nothing is left that it could be about. */
export function withoutGuest(rule: Rule, gone: GuestId): Rule | undefined {
  const guests = rule.guests.filter((guest) => guest !== gone)
  return guests.length < guestsMin(rule.kind) ? undefined : { ...rule, guests }
}
