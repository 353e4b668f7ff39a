/** Rules as the API shows them: names in place of ids, and what each demands in one sentence. */
import type { RuleView } from '@stead/api/views.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { HostsRule, Rule } from '@stead/core/model/rule.ts'

export function ruleView(state: ClusterState, { value: rule, revision }: Versioned<Rule>): RuleView {
  const guests = guestNames(state, rule)
  return {
    name: rule.id,
    kind: rule.kind,
    guests,
    strict: rule.kind === 'ban' || (rule.kind === 'order' ? rule.mode === 'required' : rule.strict),
    across: rule.kind === 'apart' ? rule.across : null,
    hosts:
      rule.kind === 'hosts'
        ? rule.hosts.map((ranked) => ({ ...ranked }))
        : rule.kind === 'ban'
          ? rule.hosts.map((host) => ({ host, priority: 0 }))
          : [],
    readyAfterMs: rule.kind === 'order' ? rule.readyAfterMs : null,
    mode: rule.kind === 'order' ? rule.mode : null,
    until: rule.kind === 'order' ? (rule.until ?? 'running') : null,
    text: ruleText(rule, guests),
    comment: rule.comment ?? '',
    revision: String(revision),
  }
}

function guestNames(state: ClusterState, rule: Rule): string[] {
  return rule.guests.map((id) => state.guests.get(id)?.value.name ?? id)
}

function ruleText(rule: Rule, guests: readonly string[]): string {
  const run = guests.length === 1 ? 'runs' : 'run'
  switch (rule.kind) {
    case 'together':
      return `${list(guests)} run on one host${ifPossible(rule.strict)}`
    case 'apart':
      return `${list(guests)} each run on another ${rule.across}${ifPossible(rule.strict)}`
    case 'hosts':
      return rule.strict
        ? `${list(guests)} ${run} only on ${ranked(rule)}`
        : `${list(guests)} ${run} on ${ranked(rule)} before all others`
    case 'ban':
      return `${list(guests)} never ${run} on ${list(rule.hosts)}`
    case 'order': {
      const after = rule.readyAfterMs === 0 ? '' : `, each ${rule.readyAfterMs / 1000} s after the one before`
      const only = rule.mode === 'required' ? 'only while the one before runs' : 'if the one before is to run as well'
      const ready = rule.until === 'ready' ? ', each once the one before is ready' : ''
      return `${guests.join(', then ')}: started in this order${ready}${after}, ${only}`
    }
  }
}

function ifPossible(strict: boolean): string {
  return strict ? '' : ' if possible'
}

/** Hosts of one priority are equal; a higher one comes first. */
function ranked({ hosts }: HostsRule): string {
  const priorities = [...new Set(hosts.map(({ priority }) => priority))].toSorted((a, b) => b - a)
  return priorities
    .map((priority) => hosts.filter((one) => one.priority === priority).map(({ host }) => host))
    .map((equal) => equal.join(' or '))
    .join(', then ')
}

function list(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? 'none') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
