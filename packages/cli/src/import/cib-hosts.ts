/** The nodes of a Pacemaker CIB as hosts, and what its status says of them and of where resources run. */
import type { FileHost } from '@stead/core/model/cluster-file.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { at, isTrue, type CibDocument } from './cib-document.ts'
import { utilizationOf } from './cib-utilization.ts'
import type { NameBook } from './imported.ts'
import { attributeOf, childOf, childrenOf, type XmlElement } from './xml-tree.ts'

/** Where nothing is known, so much that room is never what fails. */
export const ASSUMED_HOST = { memoryBytes: 2 ** 40, cpus: 256 } as const
/** Node attributes that are fault domains by their names. Others become such where a colocation uses them. */
const DOMAIN_NAMES = ['rack', 'site']

export interface CibHosts {
  readonly hosts: readonly FileHost[]
  /** By uname: constraints and the status use that. */
  readonly hostOf: ReadonlyMap<string, HostId>
  /** Pacemaker does not touch what runs on them. */
  readonly unmanaged: ReadonlySet<HostId>
}

/** `usedDomains`: node attributes by which resources are kept apart. */
export function readCibHosts(cib: CibDocument, names: NameBook, usedDomains: ReadonlySet<string>): CibHosts {
  const states = new Map(
    childrenOf(cib.status, 'node_state').map((state) => [
      attributeOf(state, 'uname') || attributeOf(state, 'id'),
      state,
    ]),
  )
  const hosts: FileHost[] = []
  const hostOf = new Map<string, HostId>()
  const unmanaged = new Set<HostId>()
  for (const node of childrenOf(childOf(cib.configuration, 'nodes'), 'node')) {
    const uname = attributeOf(node, 'uname') || attributeOf(node, 'id')
    const type = attributeOf(node, 'type')
    if (type === 'ping' || uname === '' || hostOf.has(uname)) {
      const why =
        type === 'ping' ? 'it runs no resources' : uname === '' ? 'it has no name' : 'another node has its name'
      cib.leftOut.add('node', at(node), why)
      continue
    }
    if (type === 'remote')
      cib.leftOut.add('remote node', at(node), 'it became a host like all others; in Pacemaker it has no vote')
    const name = names.of(uname) as HostId
    hostOf.set(uname, name)
    const state = states.get(uname)
    const attributes = attributesOf(cib, node, state)
    if (isTrue(attributes.get('maintenance'))) unmanaged.add(name)
    const domains = [...DOMAIN_NAMES, ...usedDomains].flatMap((domain) => {
      const value = attributes.get(domain)
      return value === undefined || value === '' ? [] : [[domain, names.of(value)] as const]
    })
    for (const other of attributes.keys())
      if (!['standby', 'maintenance', ...DOMAIN_NAMES, ...usedDomains].includes(other))
        cib.leftOut.add(`node attribute ${other}`, at(node), 'Stead has no such setting')
    // A status that knows other nodes and not this one: it has not been seen since the cluster started.
    const isLost = states.size > 0 && !isOnline(state)
    hosts.push({
      name,
      ...sizesOf(cib, node),
      ...(isLost ? { state: 'lost' as const } : {}),
      ...(isTrue(attributes.get('standby')) ? { maintenance: true } : {}),
      ...(domains.length === 0 ? {} : { faultDomains: Object.fromEntries(domains) }),
    })
  }
  return { hosts, hostOf, unmanaged }
}

/** Lasting attributes, and over them those that live until the node restarts. */
function attributesOf(cib: CibDocument, node: XmlElement, state: XmlElement | undefined): ReadonlyMap<string, string> {
  const transient = cib.pairsOf(childOf(state, 'transient_attributes'), 'instance_attributes')
  const shown = [...transient].filter(([name]) => name === 'standby' || name === 'maintenance')
  return new Map([...cib.pairsOf(node, 'instance_attributes'), ...shown])
}

function sizesOf(cib: CibDocument, node: XmlElement): { memoryBytes: number; cpus: number } {
  const { memoryBytes, cpus } = utilizationOf(cib, node)
  const unknown = [...(memoryBytes === undefined ? ['1 TiB of memory'] : []), ...(cpus ? [] : ['256 processors'])]
  if (unknown.length > 0)
    cib.leftOut.add('size of a node', at(node), `its utilization does not say it: ${unknown.join(' and ')} assumed`)
  return { memoryBytes: memoryBytes ?? ASSUMED_HOST.memoryBytes, cpus: cpus || ASSUMED_HOST.cpus }
}

/** Since Pacemaker 2.1.7 both fields hold the time since when it is so; 0 is never. */
function isOnline(state: XmlElement | undefined): boolean {
  if (state === undefined) return false
  const isMember = !/^(false|0)?$/.test(attributeOf(state, 'in_ccm'))
  return isMember && !/^(offline|0)?$/.test(attributeOf(state, 'crmd'))
}

/** Resource id -> unames of the nodes on which it runs, as the status tells by the last operation on each. */
export function placesInStatus(cib: CibDocument): ReadonlyMap<string, readonly string[]> {
  const places = new Map<string, string[]>()
  for (const state of childrenOf(cib.status, 'node_state')) {
    const uname = attributeOf(state, 'uname') || attributeOf(state, 'id')
    for (const resource of childrenOf(childOf(childOf(state, 'lrm'), 'lrm_resources'), 'lrm_resource')) {
      if (!isRunning(resource)) continue
      const id = attributeOf(resource, 'id')
      places.set(id, [...(places.get(id) ?? []), uname])
    }
  }
  return places
}

function isRunning(resource: XmlElement): boolean {
  const callOf = (operation: XmlElement) => Number(attributeOf(operation, 'call-id')) || 0
  const operations = childrenOf(resource, 'lrm_rsc_op').toSorted((a, b) => callOf(a) - callOf(b))
  let isThere = false
  for (const one of operations) {
    const code = attributeOf(one, 'rc-code')
    const operation = attributeOf(one, 'operation')
    // 7 is "not running", 8 "running promoted"; other codes of a monitor are failures of something that runs.
    if (operation === 'monitor') isThere = code === '7' ? false : code === '0' || code === '8' || isThere
    else if (['start', 'migrate_from', 'promote', 'demote'].includes(operation))
      isThere = code === '0' || (operation !== 'start' && isThere)
    else if (['stop', 'migrate_to'].includes(operation) && code === '0') isThere = false
  }
  return isThere
}
