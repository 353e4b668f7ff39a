/** Short ways to write a planning problem in a test: hosts of 16 GiB and 16 processors, guests of 4 GiB and one. */
import type { GuestId, HostId } from '../model/ids.ts'
import type { BanRule, HostsRule, Rule, RuleId } from '../model/rule.ts'
import type { PlanningGuest, PlanningHost, PlanningProblem } from './problem.ts'

export const GIB = 2 ** 30

export function aHost(id: string, more: Partial<PlanningHost> = {}): PlanningHost {
  const host = { unusableBecause: '', memoryBytes: 16 * GIB, cpus: 16, faultDomains: {}, devices: {} }
  return { id: id as HostId, ...host, ...more }
}

/** It needs a place unless `at` says where it runs. */
export function aGuest(name: string, more: Partial<Omit<PlanningGuest, 'at'>> & { at?: string } = {}): PlanningGuest {
  const { at, ...rest } = more
  return {
    id: name as GuestId,
    name,
    memoryBytes: 4 * GIB,
    cpus: 1,
    devices: {},
    priority: 0,
    at: at as HostId | undefined,
    needsPlace: at === undefined,
    movable: true,
    impossible: {},
    near: [],
    failedOn: [],
    dirtyBytesPerSecond: 0,
    ...rest,
  }
}

export function aProblem(
  hosts: readonly PlanningHost[],
  guests: readonly PlanningGuest[],
  rules: readonly Rule[] = [],
): PlanningProblem {
  return { hosts, guests, rules }
}

export function together(id: string, guests: readonly string[], strict = true): Rule {
  return { id: id as RuleId, kind: 'together', guests: guests as readonly GuestId[], strict }
}

export function apart(id: string, guests: readonly string[], { strict = true, across = 'host' } = {}): Rule {
  return { id: id as RuleId, kind: 'apart', guests: guests as readonly GuestId[], strict, across }
}

/** The first host is asked for first. */
export function onHosts(id: string, guests: readonly string[], hosts: readonly string[], strict = false): HostsRule {
  return {
    id: id as RuleId,
    kind: 'hosts',
    guests: guests as readonly GuestId[],
    hosts: hosts.map((host, index) => ({ host: host as HostId, priority: hosts.length - index })),
    strict,
  }
}

export function banned(id: string, guests: readonly string[], hosts: readonly string[]): BanRule {
  return { id: id as RuleId, kind: 'ban', guests: guests as readonly GuestId[], hosts: hosts as readonly HostId[] }
}

export function inOrder(id: string, guests: readonly string[]): Rule {
  return {
    id: id as RuleId,
    kind: 'order',
    guests: guests as readonly GuestId[],
    readyAfterMs: 0,
    mode: 'optional',
  }
}
