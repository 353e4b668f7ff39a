/** OpenVZ's `CTID.conf` (ctid.conf(5), vzctl(8)) as a wish. Nothing in it is passed over without a word. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import {
  containerId,
  ImportRemarks,
  MisreadLine,
  nameFrom,
  type ContainerImport,
  type ContainerWish,
  type WishedLimit,
  type WishedNic,
} from './container-wish.ts'
import { BEANCOUNTERS, OPENVZ_PAGE_BYTES, readBounds } from './openvz-limits.ts'

/** Known, and without a place in Stead. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  OSTEMPLATE: 'the content comes from --root or --dump',
  ORIGIN_SAMPLE: 'its limits are in the file itself',
  VE_ROOT: 'Stead decides where containers are',
  VE_PRIVATE: 'give the content of this folder, as an archive, with --root',
  VE_LAYOUT: 'the root is an ext4 file system of its own',
  QUOTATIME: 'there is no soft limit, so none may be exceeded for a time',
  DISK_QUOTA: 'the size of the root file system is always its limit',
  CPULIMIT_MHZ: 'set --cpus or cpulimit, which do not depend on the processor',
  CPUMASK: 'a container is not bound to processors of one host, for it moves',
  NODEMASK: 'a container is not bound to memory of one host, for it moves',
  AVNUMPROC: 'no kernel used it',
  IPTABLES: 'a container has a packet filter of its own',
  NETFILTER: 'a container has a packet filter of its own',
  CAPABILITY: 'a container has every capability within its own namespaces, and none beyond',
  FEATURES: 'see --nesting and --privileged for what can be given',
  DEVNODES: 'devices of a host are not given to containers; /dev/net/tun needs none',
  DEVICES: 'devices of a host are not given to containers; /dev/net/tun needs none',
  PCI: 'devices of a host are not given to containers',
  NETDEV: 'devices of a host are not given to containers',
  MOUNT_OPTS: 'Stead decides how the root is mounted',
  STOP_TIMEOUT: 'set it with --shutdown-timeout',
  VERSION: 'it is that of the file',
}

interface Entry {
  readonly value: string
  readonly line: number
}

/** Fails with `bad_request`, naming the line. */
export function importOpenVz(text: string, fileName: string): Result<ContainerImport> {
  const remarks = new ImportRemarks()
  try {
    const wish = new OpenVzContainer(readEntries(text, remarks), remarks).wish(fileName)
    return ok({ wish, taken: remarks.taken, changed: remarks.changed, leftOut: remarks.leftOut })
  } catch (error) {
    if (!(error instanceof MisreadLine)) throw error
    const hint = 'Give the file from /etc/vz/conf as it is'
    return fail(failure('bad_request', `${fileName} line ${error.line}: ${error.message}`, { hint, cause: error }))
  }
}

function readEntries(text: string, remarks: ImportRemarks): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  for (const [index, content] of lines.entries()) {
    const line = index + 1
    if (/^\s*(#|$)/.test(content)) continue
    const [, name, double, single, bare] =
      /^\s*(?:export\s+)?(\w+)=(?:"([^"]*)"|'([^']*)'|([^\s"'#]*))\s*(?:#.*)?$/.exec(content) ?? []
    if (name === undefined) throw new MisreadLine(line, `\`${content.trim().slice(0, 60)}\` is no NAME="value"`)
    const before = entries.get(name)
    if (before) remarks.leave(name, before.line, `it is there again in line ${line}, which counts`)
    entries.set(name, { value: (double ?? single ?? bare ?? '').trim(), line })
  }
  return entries
}

class OpenVzContainer {
  readonly #entries: Map<string, Entry>
  readonly #remarks: ImportRemarks
  readonly #limits: Record<string, WishedLimit> = {}

  constructor(entries: Map<string, Entry>, remarks: ImportRemarks) {
    this.#entries = entries
    this.#remarks = remarks
  }

  wish(fileName: string): ContainerWish {
    for (const name of Object.keys(BEANCOUNTERS)) this.#beancounter(name)
    const memory = this.#memory()
    const cpus = this.#processors()
    const disk = this.#disk()
    const hostname = this.#word('HOSTNAME', 'its host name')
    const label = this.#word('NAME', "the container's name")
    const name = nameFrom(label ?? hostname ?? '') || `ct-${containerId(fileName)}`
    const order = this.#number('BOOTORDER', 'the order of starting')
    const notes = this.#word('DESCRIPTION', 'its notes')
    const nics = this.#nics()
    const wish: ContainerWish = {
      name,
      ...(hostname === undefined ? {} : { hostname }),
      ...memory,
      ...(cpus === undefined ? {} : { cpus }),
      nics,
      nameservers: this.#list('NAMESERVER', 'name servers').filter((server) => server !== 'inherit'),
      searchDomains: this.#list('SEARCHDOMAIN', 'search domains').filter((domain) => domain !== 'inherit'),
      ...disk,
      mounts: [],
      privileged: false,
      nesting: false,
      autostart: this.#autostart(),
      ...(order === undefined ? {} : { startOrder: order }),
      tags: [],
      ...(notes === undefined ? {} : { notes }),
      limits: this.#ioLimits(),
    }
    this.#rest()
    return wish
  }

  #takeOut(name: string): Entry | undefined {
    const entry = this.#entries.get(name)
    this.#entries.delete(name)
    return entry?.value === '' ? undefined : entry
  }

  #beancounter(name: string): void {
    const entry = this.#takeOut(name)
    const counter = BEANCOUNTERS[name]
    if (!entry || !counter) return
    const { line } = entry
    const bounds = readBounds(entry.value, counter.unit, line)
    const resource = name.toLowerCase()
    // Of these OpenVZ knew no barrier, and its files say 0, or the same again.
    const isOneSided = name === 'PHYSPAGES' || name === 'SWAPPAGES' || name === 'NUMPROC' || name === 'NUMPTY'
    if (bounds.limit === undefined && (isOneSided || bounds.barrier === undefined))
      return this.#remarks.take(name, line, `${resource} without a limit`)
    const { barrier, ...limitOnly } = bounds
    this.#limits[resource] = isOneSided ? limitOnly : bounds
    if (isOneSided && barrier !== undefined && barrier > 0 && barrier !== bounds.limit)
      this.#remarks.leave(`${name} (barrier)`, line, 'only its limit holds')
    if (counter.change === undefined)
      this.#remarks.take(name, line, `${resource}, ${boundsText(this.#limits[resource])}`)
    else this.#remarks.change(name, line, counter.change)
  }

  /** Before VSwap there was no limit of memory in use: what could be allocated was limited. */
  #memory(): Pick<ContainerWish, 'memoryBytes' | 'swapBytes'> {
    const { physpages, swappages, privvmpages } = this.#limits
    const swap = swappages?.limit === undefined ? {} : { swapBytes: swappages.limit * OPENVZ_PAGE_BYTES }
    if (physpages?.limit !== undefined) return { memoryBytes: physpages.limit * OPENVZ_PAGE_BYTES, ...swap }
    const allocated = privvmpages?.limit ?? privvmpages?.barrier
    if (allocated === undefined) {
      this.#remarks.leave('memory', 1, 'the file limits neither what is used nor what is allocated; give --memory')
      return swap
    }
    this.#remarks.rechange(
      'PRIVVMPAGES',
      'the memory of the container: what is used is limited, where OpenVZ limited what was allocated',
    )
    delete this.#limits['privvmpages']
    return { memoryBytes: allocated * OPENVZ_PAGE_BYTES, ...swap }
  }

  #processors(): number | undefined {
    const units = this.#number('CPUUNITS', 'its share of the processors')
    if (units !== undefined && units > 0) this.#limits['cpuunits'] = { limit: units }
    const percent = this.#number('CPULIMIT', 'percent of a processor')
    // 0 is how OpenVZ says that there is none.
    if (percent !== undefined && percent > 0) this.#limits['cpulimit'] = { limit: percent }
    const cpus = this.#number('CPUS', 'processors')
    if (cpus !== undefined && cpus > 0) return cpus
    return percent === undefined || percent === 0 ? undefined : Math.ceil(percent / 100)
  }

  #disk(): Pick<ContainerWish, 'diskBytes' | 'diskInodes'> {
    const space = this.#hardLimit('DISKSPACE', 'KiB')
    const inodes = this.#hardLimit('DISKINODES', 'items')
    const users = this.#takeOut('QUOTAUGIDLIMIT')
    if (users && users.value !== '0')
      this.#remarks.leave('QUOTAUGIDLIMIT', users.line, 'set up quotas of users inside the container')
    else if (users) this.#remarks.take('QUOTAUGIDLIMIT', users.line, 'no quotas of users')
    return {
      ...(space === undefined ? {} : { diskBytes: space * 1024 }),
      ...(inodes === undefined ? {} : { diskInodes: inodes }),
    }
  }

  #hardLimit(name: string, unit: 'KiB' | 'items'): number | undefined {
    const entry = this.#takeOut(name)
    if (!entry) return undefined
    const { barrier, limit } = readBounds(entry.value, unit, entry.line)
    if (barrier === limit) this.#remarks.take(name, entry.line, 'the size of the root file system')
    else this.#remarks.change(name, entry.line, 'the limit is the size of the root file system; there is no soft limit')
    return limit
  }

  #ioLimits(): Readonly<Record<string, WishedLimit>> {
    for (const name of ['IOPRIO', 'IOLIMIT', 'IOPSLIMIT']) {
      const entry = this.#takeOut(name)
      if (!entry) continue
      const { limit } = readBounds(entry.value, name === 'IOLIMIT' ? 'bytes' : 'items', entry.line)
      // 0 is no limit of the rate, but the lowest priority.
      if (limit === undefined || (limit === 0 && name !== 'IOPRIO')) {
        this.#remarks.take(name, entry.line, 'no limit')
        continue
      }
      this.#limits[name.toLowerCase()] = { limit }
      this.#remarks.change(name, entry.line, 'on cgroup v1 it holds for reads, and for writes past the page cache')
    }
    return this.#limits
  }

  #nics(): WishedNic[] {
    const nics: WishedNic[] = []
    const routed = this.#takeOut('IP_ADDRESS')
    if (routed) {
      nics.push({ name: 'eth0', bridge: 'venet0', addresses: routed.value.split(/\s+/) })
      const text = 'venet routed it without a hardware address; it becomes a card on the bridge: give the gateway'
      const isWithout = nics[0]?.addresses.some((address) => !address.includes('/'))
      this.#remarks.change('IP_ADDRESS', routed.line, isWithout ? `${text}, and the length of the network` : text)
    }
    const bridged = this.#takeOut('NETIF')
    if (!bridged) return nics
    const used = new Set(nics.map(({ name }) => name))
    for (const card of bridged.value.split(';').filter((text) => text.trim() !== '')) {
      const settings = new Map<string, string>()
      for (const pair of card.split(',')) {
        const [, key, value] = /^\s*(\w+)=(.*?)\s*$/.exec(pair) ?? []
        if (key === undefined || value === undefined)
          throw new MisreadLine(bridged.line, `\`${pair}\` of NETIF is no NAME=VALUE`)
        settings.set(key, value)
      }
      const mac = settings.get('mac')
      if (mac !== undefined && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac))
        throw new MisreadLine(bridged.line, `\`${mac}\` is no hardware address`)
      const wished = settings.get('ifname') ?? `eth${nics.length}`
      const name = used.has(wished) ? `eth${nics.length}` : wished
      if (name !== wished) this.#remarks.change(`NETIF ${wished}`, bridged.line, `the card is called ${name}`)
      used.add(name)
      nics.push({ name, ...(mac && { mac: mac.toLowerCase() }), bridge: settings.get('bridge') ?? '', addresses: [] })
      for (const key of settings.keys())
        if (!['ifname', 'mac', 'bridge'].includes(key))
          this.#remarks.leave(`NETIF ${key}`, bridged.line, 'Stead names its own end of the wire, and always filters')
      this.#remarks.take(
        `NETIF ${wished}`,
        bridged.line,
        'a card; its addresses are not in the file, so it is held to its MAC',
      )
    }
    return nics
  }

  #autostart(): boolean {
    const disabled = this.#takeOut('DISABLED')
    const onBoot = this.#takeOut('ONBOOT')
    if (onBoot) this.#remarks.take('ONBOOT', onBoot.line, 'whether it starts by itself')
    if (disabled) this.#remarks.change('DISABLED', disabled.line, 'a container that does not start by itself')
    return onBoot?.value.toLowerCase() === 'yes' && disabled?.value.toLowerCase() !== 'yes'
  }

  #number(name: string, became: string): number | undefined {
    const entry = this.#takeOut(name)
    if (!entry) return undefined
    const [, digits] = /^(\d{1,15})%?$/.exec(entry.value) ?? []
    if (digits === undefined)
      throw new MisreadLine(entry.line, `${name} is \`${entry.value}\`, which is no whole number`)
    this.#remarks.take(name, entry.line, became)
    return Number(digits)
  }

  #word(name: string, became: string): string | undefined {
    const entry = this.#takeOut(name)
    if (entry) this.#remarks.take(name, entry.line, became)
    return entry?.value
  }

  #list(name: string, became: string): string[] {
    const entry = this.#takeOut(name)
    if (!entry) return []
    const words = entry.value.split(/\s+/)
    if (words.includes('inherit')) this.#remarks.leave(name, entry.line, '`inherit` took them from its host; name them')
    else this.#remarks.take(name, entry.line, became)
    return words
  }

  #rest(): void {
    for (const [name, { value, line }] of this.#entries)
      if (value !== '') this.#remarks.leave(name, line, LEFT_OUT[name] ?? 'Stead has no such setting')
  }
}

function boundsText({ barrier, limit }: WishedLimit = {}): string {
  return barrier === undefined ? `limit ${limit}` : `barrier ${barrier}, limit ${limit ?? 'none'}`
}
