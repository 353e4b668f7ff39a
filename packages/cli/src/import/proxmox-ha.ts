/**
 * Proxmox VE's HA configuration as a cluster file: `rules.cfg` (version 9), `groups.cfg` (version 8 and older) and
 * `resources.cfg`, all from /etc/pve/ha, read as one. None of them knows a size; see `proxmox-sizes.ts`.
 */
import { failure } from '@stead/core/errors.ts'
import { CLUSTER_FILE_FORMAT, type ClusterFile, type FileGuest, type FileHost } from '@stead/core/model/cluster-file.ts'
import type { HaMode } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { HostsRule, Rule, RuleId } from '@stead/core/model/rule.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { ASSUMED_HOST } from './cib-hosts.ts'
import { finishImport, LeftOutList, NameBook, type Imported } from './imported.ts'
import { readProxmoxSizes, type ProxmoxSizes } from './proxmox-sizes.ts'
import { readSections, type Property, type Section } from './section-config.ts'

const ASSUMED_GUEST = { memoryBytes: 2 ** 30, cpus: 1 } as const
/** Proxmox VE tries no more often, where nothing else is said. */
const DEFAULT_TRIES = 1
const TRIES_MAX = 100

const HA_OF: Readonly<Record<string, HaMode>> = {
  started: 'started',
  enabled: 'started',
  stopped: 'stopped',
  disabled: 'stopped',
  ignored: 'ignored',
}

/** What is read of each type of section; other properties are remarked. `comment` goes into rules. */
const KNOWN_PROPERTIES: Readonly<Record<string, readonly string[]>> = {
  vm: ['state', 'group', 'max_restart', 'max_relocate', 'failback', 'comment'],
  ct: ['state', 'group', 'max_restart', 'max_relocate', 'failback', 'comment'],
  group: ['nodes', 'restricted', 'nofailback', 'comment'],
  'node-affinity': ['nodes', 'resources', 'strict', 'disable', 'comment'],
  'resource-affinity': ['affinity', 'resources', 'disable', 'comment'],
}

export interface ProxmoxFile {
  readonly path: string
  readonly text: string
}

/** `sizes`: what `pvesh` prints. Fails with `bad_request`, naming the file and the line. */
export function importProxmoxHa(files: readonly ProxmoxFile[], sizes?: string): Result<Imported> {
  const leftOut = new LeftOutList()
  const sections: (Section & { readonly path: string })[] = []
  for (const { path, text } of files) {
    const read = readSections(text)
    if (!read.ok) return fail({ ...read.error, message: `${path}: ${read.error.message}` })
    sections.push(...read.value.map((section) => ({ ...section, path })))
  }
  const known = sizes === undefined ? undefined : readProxmoxSizes(sizes, leftOut)
  if (known?.ok === false) return known
  const cluster = new ProxmoxCluster(known?.value ?? { nodes: [], guests: [] }, leftOut)
  for (const { path, ...section } of sections) cluster.add(section, `${path} line ${section.line}`)
  const file = cluster.file()
  if (file.hosts.length === 0) {
    const hint = 'Give the output of `pvesh get /cluster/resources --output-format json` with --sizes'
    return fail(failure('bad_request', 'No file names a node', { hint }))
  }
  return finishImport(file, leftOut)
}

interface HaGuest {
  readonly settings: Partial<FileGuest>
  readonly group: string
}

class ProxmoxCluster {
  readonly #sizes: ProxmoxSizes
  readonly #leftOut: LeftOutList
  readonly #ruleIds = new NameBook()
  readonly #hostNames = new NameBook()
  readonly #hosts = new Map<string, FileHost>()
  readonly #haGuests = new Map<string, HaGuest>()
  readonly #groups = new Map<string, Section>()
  readonly #affinities: { readonly section: Section; readonly where: string }[] = []

  constructor(sizes: ProxmoxSizes, leftOut: LeftOutList) {
    this.#sizes = sizes
    this.#leftOut = leftOut
    for (const { name, isLost, memoryBytes, cpus } of sizes.nodes) {
      this.#addHost(name, { ...(memoryBytes && { memoryBytes }), ...(cpus && { cpus }) }, isLost)
    }
  }

  add(section: Section, where: string): void {
    const known = KNOWN_PROPERTIES[section.type]
    if (known === undefined) return this.#leftOut.add(`section ${section.type}`, where, 'Stead knows nothing like it')
    for (const [name, { line }] of section.properties)
      if (!known.includes(name))
        this.#leftOut.add(`property ${name}`, where.replace(/\d+$/, String(line)), 'Stead has no such setting')
    if (section.type === 'group') this.#groups.set(section.id, section)
    else if (section.type === 'vm' || section.type === 'ct') this.#addGuest(section, where)
    else this.#affinities.push({ section, where })
  }

  file(): ClusterFile {
    // Rules first: they may name nodes that nothing else does.
    const rules = [
      ...this.#groupRules(),
      ...this.#affinities.flatMap(({ section, where }) => this.#affinity(section, where)),
    ]
    const guests = this.#guests()
    const names = new Set(guests.map(({ name }) => name))
    return {
      format: CLUSTER_FILE_FORMAT,
      name: 'proxmox',
      hosts: [...this.#hosts.values()],
      guests: guests.map((guest) => this.#withFailback(guest)),
      rules: rules.flatMap((rule) => this.#ofKnownGuests(rule, names)),
    }
  }

  #addHost(node: string, sizes: { memoryBytes?: number; cpus?: number }, isLost: boolean): void {
    const name = this.#hostNames.of(node)
    if (sizes.memoryBytes === undefined || sizes.cpus === undefined) {
      this.#leftOut.add('size of a node', node, 'nothing tells it: 1 TiB of memory and 256 processors are assumed')
    }
    this.#hosts.set(name, { name, ...ASSUMED_HOST, ...sizes, ...(isLost ? { state: 'lost' as const } : {}) })
  }

  #addGuest({ type, id, properties }: Section, where: string): void {
    const name = guestName(`${type}:${id}`)
    if (name === undefined) return this.#leftOut.add(`resource ${type}:${id}`, where, 'its id is no number')
    if (this.#haGuests.has(name))
      return this.#leftOut.add(`resource ${type}:${id}`, where, 'it is there twice; the first counts')
    const state = properties.get('state')?.value ?? 'started'
    const ha = HA_OF[state]
    if (ha === undefined) this.#leftOut.add(`state ${state}`, where, 'Stead has no such state; started is assumed')
    this.#haGuests.set(name, {
      settings: {
        ...(ha === undefined || ha === 'started' ? {} : { ha }),
        maxRestart: this.#tries(properties.get('max_restart'), where),
        maxRelocate: this.#tries(properties.get('max_relocate'), where),
        ...(isSet(properties, 'failback', true) ? {} : { failback: false }),
      },
      group: properties.get('group')?.value ?? '',
    })
  }

  #tries(property: Property | undefined, where: string): number {
    if (property === undefined) return DEFAULT_TRIES
    if (/^\d{1,9}$/.test(property.value)) return Math.min(Number(property.value), TRIES_MAX)
    this.#leftOut.add(`number ${property.value}`, where, `it is no whole number; ${DEFAULT_TRIES} is assumed`)
    return DEFAULT_TRIES
  }

  #guests(): FileGuest[] {
    const guests: FileGuest[] = []
    const sized = new Set<string>()
    for (const { name, node, isRunning, memoryBytes, cpus, diskBytes } of this.#sizes.guests) {
      sized.add(name)
      const host = this.#hostNames.of(node)
      if (!this.#hosts.has(host)) this.#addHost(node, {}, false)
      const settings = this.#haGuests.get(name)?.settings
      if (memoryBytes === undefined || cpus === undefined) this.#assume(name)
      guests.push({
        name,
        memoryBytes: memoryBytes ?? ASSUMED_GUEST.memoryBytes,
        cpus: cpus ?? ASSUMED_GUEST.cpus,
        ...(diskBytes === undefined ? {} : { diskBytes }),
        ...(isRunning ? { host } : {}),
        // It takes room, but nothing restarts it elsewhere.
        ...(settings ?? { ha: 'ignored' as const }),
      })
    }
    for (const [name, { settings }] of this.#haGuests) {
      if (sized.has(name)) continue
      this.#assume(name)
      guests.push({ name, ...ASSUMED_GUEST, ...settings })
    }
    if (this.#sizes.guests.length > 0)
      this.#leftOut.add(
        'disks',
        'the file of sizes',
        'it does not tell where they are; every host is taken to reach them',
      )
    return guests
  }

  #assume(name: string): void {
    this.#leftOut.add('size of a guest', name, 'nothing tells it: 1 GiB of memory and 1 processor are assumed')
  }

  #groupRules(): Rule[] {
    const membersOf = new Map<string, GuestId[]>()
    for (const [name, { group }] of this.#haGuests) {
      if (group === '') continue
      if (!this.#groups.has(group)) this.#leftOut.add(`group ${group}`, name, 'no file has it; groups.cfg does')
      membersOf.set(group, [...(membersOf.get(group) ?? []), name as GuestId])
    }
    return [...this.#groups].flatMap(([id, { properties }]) => {
      const guests = membersOf.get(id)
      if (guests === undefined) {
        this.#leftOut.add(`group ${id}`, id, 'no resource is in it')
        return []
      }
      return this.#hostsRule({ id, guests, properties, strict: isSet(properties, 'restricted', false) })
    })
  }

  #affinity({ type, id, properties }: Section, where: string): Rule[] {
    const leaveOut = (why: string) => {
      this.#leftOut.add(`${type} ${id}`, where, why)
      return []
    }
    if (isSet(properties, 'disable', false)) return leaveOut('it is disabled')
    const guests = wordsOf(properties.get('resources')).flatMap((word) => {
      const name = guestName(word)
      if (name === undefined) this.#leftOut.add(`resource ${word} of a rule`, where, 'it is neither vm:ID nor ct:ID')
      return name === undefined ? [] : [name as GuestId]
    })
    if (guests.length === 0) return leaveOut('it names no resources')
    if (type === 'node-affinity')
      return this.#hostsRule({ id, guests, properties, strict: isSet(properties, 'strict', false) })
    const rule = { id: this.#ruleIds.unused(id) as RuleId, ...commentOf(properties), guests, strict: true }
    const affinity = properties.get('affinity')?.value
    if (affinity === 'positive') return [{ ...rule, kind: 'together' }]
    if (affinity === 'negative') return [{ ...rule, kind: 'apart', across: 'host' }]
    return leaveOut('its affinity is neither positive nor negative')
  }

  #hostsRule(wanted: {
    readonly id: string
    readonly guests: readonly GuestId[]
    readonly properties: Section['properties']
    readonly strict: boolean
  }): HostsRule[] {
    const { id, guests, properties, strict } = wanted
    const hosts = wordsOf(properties.get('nodes')).flatMap((word) => {
      const [node = '', priority = '0'] = word.split(':')
      const host = this.#hostNames.of(node)
      // Where sizes are known they list all nodes; a name beyond them is one that has left the cluster.
      const isGone = this.#sizes.nodes.length > 0 && !this.#hosts.has(host)
      if (isGone || !/^\d{1,9}$/.test(priority)) {
        this.#leftOut.add(
          `node ${word}`,
          id,
          isGone ? 'the cluster has no such node' : 'its priority is no whole number',
        )
        return []
      }
      if (!this.#hosts.has(host)) this.#addHost(node, {}, false)
      return [{ host: host as HostId, priority: Number(priority) }]
    })
    const once = hosts.filter(({ host }, index) => hosts.findIndex((other) => other.host === host) === index)
    if (once.length === 0) {
      this.#leftOut.add(`rule ${id}`, id, 'no node is left in it')
      return []
    }
    return [
      { id: this.#ruleIds.unused(id) as RuleId, ...commentOf(properties), kind: 'hosts', guests, hosts: once, strict },
    ]
  }

  /** `nofailback` of a group holds for its members. */
  #withFailback(guest: FileGuest): FileGuest {
    const group = this.#groups.get(this.#haGuests.get(guest.name)?.group ?? '')
    return group !== undefined && isSet(group.properties, 'nofailback', false) ? { ...guest, failback: false } : guest
  }

  #ofKnownGuests(rule: Rule, names: ReadonlySet<string>): Rule[] {
    const gone = rule.guests.filter((guest) => !names.has(guest))
    for (const guest of gone) this.#leftOut.add(`resource ${guest} of a rule`, rule.id, 'no file tells of it')
    const guests = [...new Set(rule.guests.filter((guest) => names.has(guest)))]
    const isEnough = guests.length > (rule.kind === 'hosts' ? 0 : 1)
    if (!isEnough) this.#leftOut.add(`rule ${rule.id}`, rule.id, 'too few of its resources are left')
    return isEnough ? [{ ...rule, guests }] : []
  }
}

/** `vm:101` -> `vm-101`. */
function guestName(resource: string): string | undefined {
  const [, type, id] = /^(vm|ct):(\d{1,9})$/.exec(resource) ?? []
  return type === undefined || id === undefined ? undefined : `${type}-${Number(id)}`
}

/** Lists are parted by commas, semicolons or spaces. */
function wordsOf(property: Property | undefined): string[] {
  return (property?.value ?? '').split(/[,;\s]+/).filter((word) => word !== '')
}

function isSet(properties: Section['properties'], name: string, otherwise: boolean): boolean {
  const value = properties.get(name)?.value
  return value === undefined ? otherwise : value === '' || /^(1|yes|on|true)$/i.test(value)
}

function commentOf(properties: Section['properties']): { comment?: string } {
  const text = properties.get('comment')?.value ?? ''
  return text === '' ? {} : { comment: text.slice(0, 500) }
}
