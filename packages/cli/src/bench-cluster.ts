/**
 * Reads the clusters that planners are compared on (`format: spike-cluster/1`): random hosts, guests and constraints,
 * as other planners get them in their own formats. Capacities in MiB; `cpu` of a host already counts its overcommit.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Rule, RuleId } from '@stead/core/model/rule.ts'
import type { PlanningGuest, PlanningHost, PlanningProblem } from '@stead/core/planning/problem.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const FORMAT = 'spike-cluster/1'
const MIB = 1 << 20

/**
 * `failed`: hosts that are lost, so that their guests need a place. Fails with `bad_request`, naming the field, when
 * something is missing, of the wrong kind, out of range or names what does not exist.
 */
export function readBenchCluster(json: unknown, failed: readonly string[] = []): Result<PlanningProblem> {
  try {
    return ok(read(json, failed))
  } catch (error) {
    if (!(error instanceof Misfit)) throw error
    return fail(
      failure('bad_request', error.message, { hint: `The file must hold a cluster as ${FORMAT} describes it` }),
    )
  }
}

class Misfit extends Error {
  override name = 'Misfit'
}

function read(json: unknown, failed: readonly string[]): PlanningProblem {
  const cluster = record(json, 'the file')
  if (cluster['format'] !== FORMAT) throw new Misfit(`format is ${JSON.stringify(cluster['format'])}, not ${FORMAT}`)
  const hosts = list(cluster['nodes'], 'nodes').map((node, index) => hostOf(node, `nodes[${index}]`, failed))
  const known = new Set(hosts.map(({ id }) => id))
  if (known.size < hosts.length) throw new Misfit('nodes: two have the same id')
  for (const host of failed) if (!known.has(host as HostId)) throw new Misfit(`the host ${host} is not in the file`)
  const lost = new Set(failed)
  const guests = list(cluster['guests'], 'guests').map((guest, index) =>
    guestOf(guest, `guests[${index}]`, known, lost),
  )
  const named = new Set(guests.map(({ id }) => id))
  if (named.size < guests.length) throw new Misfit('guests: two have the same id')
  const rules = list(cluster['constraints'] ?? [], 'constraints').map((constraint, index) =>
    ruleOf(record(constraint, `constraints[${index}]`), index, named, known),
  )
  return { hosts, guests, rules }
}

function hostOf(value: unknown, field: string, failed: readonly string[]): PlanningHost {
  const node = record(value, field)
  const id = text(node['id'], `${field}.id`) as HostId
  return {
    id,
    unusableBecause: failed.includes(id) ? 'it is lost' : '',
    memoryBytes: amount(node['memMiB'], `${field}.memMiB`) * MIB,
    cpus: amount(node['cpu'], `${field}.cpu`),
    faultDomains: node['rack'] === undefined ? {} : { rack: text(node['rack'], `${field}.rack`) },
    devices: {},
  }
}

function guestOf(value: unknown, field: string, hosts: ReadonlySet<HostId>, lost: ReadonlySet<string>): PlanningGuest {
  const guest = record(value, field)
  const id = text(guest['id'], `${field}.id`)
  const at = known(guest['node'], `${field}.node`, hosts)
  return {
    id: id as GuestId,
    name: id,
    memoryBytes: amount(guest['memMiB'], `${field}.memMiB`) * MIB,
    cpus: amount(guest['cpu'], `${field}.cpu`),
    devices: {},
    priority: guest['priority'] === undefined ? 0 : amount(guest['priority'], `${field}.priority`),
    at: lost.has(at) ? undefined : at,
    needsPlace: lost.has(at),
    movable: true,
    impossible: {},
    near: [],
    failedOn: [],
    dirtyBytesPerSecond: 0,
  }
}

function ruleOf(
  constraint: Record<string, unknown>,
  index: number,
  guests: ReadonlySet<GuestId>,
  hosts: ReadonlySet<HostId>,
): Rule {
  const field = `constraints[${index}]`
  const id = `k${index}` as RuleId
  const guest = (key: string) => known(constraint[key], `${field}.${key}`, guests)
  const host = () => known(constraint['node'], `${field}.node`, hosts)
  switch (constraint['kind']) {
    case 'apart':
    case 'together': {
      const named = list(constraint['guests'], `${field}.guests`)
      const members = named.map((one, position) => known(one, `${field}.guests[${position}]`, guests))
      const strict = constraint['strict'] !== false
      return constraint['kind'] === 'apart'
        ? { id, kind: 'apart', guests: members, strict, across: 'host' }
        : { id, kind: 'together', guests: members, strict }
    }
    case 'order':
      return { id, kind: 'order', guests: [guest('first'), guest('then')], readyAfterMs: 0, mode: 'optional' }
    case 'prefer':
      return { id, kind: 'hosts', guests: [guest('guest')], hosts: [{ host: host(), priority: 0 }], strict: false }
    case 'ban':
      return { id, kind: 'ban', guests: [guest('guest')], hosts: [host()] }
    default:
      throw new Misfit(`${field}.kind is ${JSON.stringify(constraint['kind'])}: apart, together, order, prefer or ban`)
  }
}

function record(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Misfit(`${field} is not an object`)
  return value as Record<string, unknown>
}

function list(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Misfit(`${field} is not a list`)
  return value
}

function text(value: unknown, field: string): string {
  if (typeof value !== 'string' || value === '') throw new Misfit(`${field} is not a name`)
  return value
}

function amount(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new Misfit(`${field} is ${JSON.stringify(value)}, not a number from 0`)
  return value
}

function known<Id extends string>(value: unknown, field: string, ids: ReadonlySet<Id>): Id {
  const id = text(value, field)
  if (!ids.has(id as Id)) throw new Misfit(`${field} names ${id}, which the file does not have`)
  return id as Id
}
