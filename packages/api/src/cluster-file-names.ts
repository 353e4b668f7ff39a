/** Whether the names in a cluster file are each given once and name what they should. */
import type { ClusterFile, FileGuest } from '@stead/core/model/cluster-file.ts'
import type { Rule } from '@stead/core/model/rule.ts'

interface Known {
  readonly guests: ReadonlySet<string>
  readonly computeHosts: ReadonlySet<string>
  readonly witnesses: ReadonlySet<string>
}

/** One sentence each, beginning with the field; in the order of the file. */
export function namingProblemsIn({ hosts, guests, rules }: ClusterFile): string[] {
  const isWitness = (host: { readonly role?: string }) => host.role === 'witness'
  const known: Known = {
    guests: new Set(guests.map(({ name }) => name)),
    computeHosts: new Set(hosts.filter((host) => !isWitness(host)).map(({ name }) => name)),
    witnesses: new Set(hosts.filter(isWitness).map(({ name }) => name)),
  }
  return [
    ...doubledIn(hosts, 'hosts', 'name'),
    ...hosts.flatMap(({ faultDomains = {} }, index) =>
      Object.hasOwn(faultDomains, 'host')
        ? [`hosts[${index}].faultDomains.host: is taken, every host is a fault domain of its own`]
        : [],
    ),
    ...doubledIn(guests, 'guests', 'name'),
    ...guests.flatMap((guest, index) => guestProblems(guest, `guests[${index}]`, known)),
    ...doubledIn(rules, 'rules', 'id'),
    ...rules.flatMap((rule, index) => ruleProblems(rule, `rules[${index}]`, known)),
  ]
}

function doubledIn<Field extends string>(
  entries: readonly Readonly<Record<Field, string>>[],
  list: string,
  field: Field,
): string[] {
  const first = new Map<string, number>()
  return entries.flatMap((entry, index) => {
    const before = first.get(entry[field])
    if (before !== undefined)
      return [`${list}[${index}].${field}: ${entry[field]} is that of ${list}[${before}] already`]
    first.set(entry[field], index)
    return []
  })
}

function guestProblems(guest: FileGuest, path: string, known: Known): string[] {
  const problems: string[] = []
  if (guest.host !== undefined) problems.push(...hostProblems([guest.host], () => `${path}.host`, known))
  if (guest.replicasOn === undefined) {
    for (const field of ['staleOn', 'moreDisks'] as const)
      if (guest[field] !== undefined) problems.push(`${path}.${field}: has no meaning without replicasOn`)
    return problems
  }
  const first = { replicasOn: guest.replicasOn, ...(guest.staleOn === undefined ? {} : { staleOn: guest.staleOn }) }
  for (const [index, { replicasOn, staleOn = [] }] of [first, ...(guest.moreDisks ?? [])].entries()) {
    const disk = index === 0 ? path : `${path}.moreDisks[${index - 1}]`
    problems.push(...listProblems(replicasOn, `${disk}.replicasOn`))
    problems.push(...hostProblems(replicasOn, (place) => `${disk}.replicasOn[${place}]`, known))
    problems.push(...listProblems(staleOn, `${disk}.staleOn`))
    for (const [place, host] of staleOn.entries())
      if (!replicasOn.includes(host)) problems.push(`${disk}.staleOn[${place}]: ${host} is not in replicasOn`)
  }
  return problems
}

function ruleProblems(rule: Rule, path: string, known: Known): string[] {
  const hosts = rule.kind === 'hosts' ? rule.hosts.map(({ host }) => host) : rule.kind === 'ban' ? rule.hosts : []
  return [
    ...listProblems(rule.guests, `${path}.guests`),
    ...rule.guests.flatMap((guest, place) =>
      known.guests.has(guest) ? [] : [`${path}.guests[${place}]: there is no guest ${guest}`],
    ),
    ...listProblems(hosts, `${path}.hosts`),
    ...hostProblems(hosts, (place) => `${path}.hosts[${place}]`, known),
  ]
}

function hostProblems(hosts: readonly string[], path: (place: number) => string, known: Known): string[] {
  return hosts.flatMap((host, place) => {
    if (known.computeHosts.has(host)) return []
    if (known.witnesses.has(host)) return [`${path(place)}: ${host} is a witness, it holds no guests and no data`]
    return [`${path(place)}: there is no host ${host}`]
  })
}

function listProblems(names: readonly string[], path: string): string[] {
  const seen = new Set<string>()
  return names.flatMap((name, place) => {
    if (seen.has(name)) return [`${path}[${place}]: ${name} is there twice`]
    seen.add(name)
    return []
  })
}
