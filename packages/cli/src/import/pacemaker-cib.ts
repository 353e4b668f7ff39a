/**
 * A Pacemaker CIB as a cluster file. Written after "Pacemaker Explained": scores, constraints, utilization and the
 * status section. Docs for administrators: docs/operating/import.md.
 */
import { failure } from '@stead/core/errors.ts'
import {
  CLUSTER_FILE_FORMAT,
  CLUSTER_FILE_LIMITS,
  type ClusterFile,
  type FileGuest,
} from '@stead/core/model/cluster-file.ts'
import type { ClusterPolicy } from '@stead/core/model/cluster-policy.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { colocationAttributes, constraintRules } from './cib-constraints.ts'
import { at, isTrue, readCib, type CibDocument } from './cib-document.ts'
import { placesInStatus, readCibHosts, type CibHosts } from './cib-hosts.ts'
import { locationRules, type LocationRules } from './cib-locations.ts'
import { CibResourceReader, type CibResources } from './cib-resources.ts'
import { finishImport, LeftOutList, NameBook, type Imported } from './imported.ts'
import { childOf, type XmlElement } from './xml-tree.ts'

/** Options that say nothing about what runs where, or that are read below. */
const QUIET_OPTIONS =
  /^(symmetric-cluster|maintenance-mode|shutdown-lock|placement-strategy|cluster-name|cluster-infrastructure|dc-version|have-watchdog|last-lrm-refresh|batch-limit|node-action-limit|migration-limit|cluster-recheck-interval|dc-deadtime|election-timeout|load-threshold|cluster-ipc-limit|pe-\w+-series-max|enable-startup-probes|startup-fencing|stonith-\w+|fence-reaction|concurrent-fencing|no-quorum-policy|shutdown-\w+|join-\w+|transition-delay)$/

/** Fails with `bad_request` when the text is no CIB, or what it holds is too much or too large for a cluster file. */
export function importPacemakerCib(text: string): Result<Imported> {
  const leftOut = new LeftOutList()
  const read = readCib(text, leftOut)
  if (!read.ok) return read
  const cib = read.value
  // Said before any of them is looked at.
  const primitives = countOf(childOf(cib.configuration, 'resources'), 'primitive')
  if (primitives > CLUSTER_FILE_LIMITS.guests) {
    const most = CLUSTER_FILE_LIMITS.guests.toLocaleString('en')
    return fail(
      failure('bad_request', `The CIB has ${primitives.toLocaleString('en')} primitives, at most ${most} are taken`),
    )
  }
  const options = cib.pairsOf(childOf(cib.configuration, 'crm_config'), 'cluster_property_set')
  const ruleIds = new NameBook()
  const hosts = readCibHosts(cib, new NameBook(), colocationAttributes(cib))
  const resources = new CibResourceReader(cib, { guests: new NameBook(), rules: ruleIds }).read()
  const locations = locationRules({
    cib,
    resources,
    hosts: [...hosts.hostOf.values()],
    hostOf: hosts.hostOf,
    ruleIds,
    isSymmetric: isTrue(options.get('symmetric-cluster') ?? 'true'),
  })
  const file: ClusterFile = {
    format: CLUSTER_FILE_FORMAT,
    name: new NameBook().of(options.get('cluster-name') || 'pacemaker'),
    policy: policyOf(options),
    hosts: hosts.hosts,
    guests: guestsWithPlaces(cib, resources, hosts, locations),
    rules: [...resources.rules, ...locations.rules, ...constraintRules(cib, resources, ruleIds)],
  }
  remarkOptions(options, leftOut)
  remarkParts(cib)
  return finishImport(file, leftOut)
}

function countOf(element: XmlElement | undefined, name: string): number {
  return element?.children.reduce((sum, child) => sum + (child.name === name ? 1 : countOf(child, name)), 0) ?? 0
}

/**
 * `cpuOvercommit: 1`: the processors of a node are what its guests may take, overcommit included. A node that shuts
 * down in order loses its resources to others first, unless they are locked to it.
 */
function policyOf(options: ReadonlyMap<string, string>): Partial<ClusterPolicy> {
  return {
    cpuOvercommit: 1,
    shutdown: isTrue(options.get('shutdown-lock')) ? 'freeze' : 'migrate',
    ...(isTrue(options.get('maintenance-mode')) ? { armed: false } : {}),
  }
}

function guestsWithPlaces(
  cib: CibDocument,
  resources: CibResources,
  { hostOf, unmanaged }: CibHosts,
  { staying, homeless }: LocationRules,
): FileGuest[] {
  const places = placesInStatus(cib)
  if (places.size === 0 && resources.guests.size > 0)
    cib.leftOut.add(
      'places of resources',
      'the status',
      'it does not tell where anything runs, so no guest has a host; ask a live cluster',
    )
  const hostsOf = new Map<GuestId, string[]>()
  for (const [id, unames] of places) {
    const guest = resources.guestOf.get(id)
    if (guest !== undefined)
      hostsOf.set(
        guest,
        unames.flatMap((uname) => hostOf.get(uname) ?? []),
      )
  }
  return [...resources.guests].map(([id, guest]) => {
    const [host, ...more] = hostsOf.get(id) ?? []
    if (more.length > 0) cib.leftOut.add('a second place', id, `it runs on several hosts at once; ${host} was taken`)
    if (homeless.has(id))
      cib.leftOut.add('a guest without a host', id, 'no constraint lets it run anywhere, so it is stopped')
    const isUnmanaged = host !== undefined && (unmanaged as ReadonlySet<string>).has(host)
    return {
      ...guest,
      ...(host === undefined ? {} : { host }),
      ...(homeless.has(id) && guest.ha === undefined ? { ha: 'stopped' as const } : {}),
      ...(isUnmanaged ? { ha: 'ignored' as const } : {}),
      ...(staying.has(id) ? { failback: false } : {}),
    }
  })
}

function remarkOptions(options: ReadonlyMap<string, string>, leftOut: LeftOutList): void {
  const remark = (name: string, why: string) => leftOut.add(`option ${name}=${options.get(name)}`, 'crm_config', why)
  for (const name of options.keys()) if (!QUIET_OPTIONS.test(name)) remark(name, 'Stead has no such setting')
  const quorum = options.get('no-quorum-policy')
  if (quorum !== undefined && quorum !== 'stop') remark('no-quorum-policy', 'quorum can not be turned off in Stead')
  if (options.has('stonith-enabled') && !isTrue(options.get('stonith-enabled')))
    remark('stonith-enabled', 'Stead fences the writers of volumes, always')
  if ((options.get('placement-strategy') ?? 'default') === 'default')
    leftOut.add(
      'placement-strategy default',
      'crm_config',
      'Pacemaker does not count memory and processors then; Stead always does',
    )
}

/** Whole sections that have no counterpart. */
function remarkParts({ configuration, leftOut }: CibDocument): void {
  const known = ['crm_config', 'nodes', 'resources', 'constraints', 'rsc_defaults', 'op_defaults', 'tags']
  for (const part of configuration.children) {
    if (part.name === 'fencing-topology') leftOut.add(part.name, at(part), 'fence devices are set per host in Stead')
    else if (!known.includes(part.name) && part.children.length > 0)
      leftOut.add(part.name, at(part), 'Stead knows nothing like it')
  }
}
