/** Proxmox VE's `/etc/pve/lxc/ID.conf` (pct.conf(5)) as a wish. Nothing in it is passed over without a word. */
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
} from './container-wish.ts'
import { readMount, readNic, type Entry } from './proxmox-devices.ts'

const MEMORY_MIB_DEFAULT = 512
/** Where none is said, it may swap as much again. */
const SWAP_MIB_DEFAULT = 512
/** Processor shares of cgroup v1, up to Proxmox VE 6, were 1,024 when nothing was said; weights of v2 are 100 and at most 10,000. */
const SHARES_DEFAULT = 1024
const WEIGHT_MAX = 10_000
/** What `cpuunits` calls an ordinary container. */
const ORDINARY_UNITS = 1000

/** Known, and without a place in Stead. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  ostype: 'the content says what system it is',
  cmode: 'the console is always a terminal of its own',
  console: 'there always is a console',
  hookscript: 'Stead runs no scripts on its hosts',
  lock: 'it belongs to work that Proxmox VE had begun',
  tty: 'a container has one console, and as many terminals as it opens',
  parent: 'snapshots stay behind',
  protection: 'Stead has no such setting',
  template: 'make a template of the container when it is here',
  timezone: 'set it inside the container',
  debug: 'Stead has no such setting',
  entrypoint: 'a system container starts its init',
  env: 'set it inside the container',
}

/** Fails with `bad_request`, naming the line. */
export function importProxmoxContainer(text: string, fileName: string): Result<ContainerImport> {
  const remarks = new ImportRemarks()
  try {
    const { entries, notes } = readEntries(text, remarks)
    const wish = new ProxmoxContainer(entries, remarks).wish(containerId(fileName), notes)
    return ok({ wish, taken: remarks.taken, changed: remarks.changed, leftOut: remarks.leftOut })
  } catch (error) {
    if (!(error instanceof MisreadLine)) throw error
    const hint = 'Give the file from /etc/pve/lxc as it is'
    return fail(failure('bad_request', `${fileName} line ${error.line}: ${error.message}`, { hint, cause: error }))
  }
}

/** Up to the first section: those that follow are snapshots, or changes that wait for a restart. */
function readEntries(text: string, remarks: ImportRemarks): { entries: Map<string, Entry>; notes: string } {
  const entries = new Map<string, Entry>()
  const notes: string[] = []
  let inSection = false
  for (const [index, content] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1
    const [, section] = /^\[(.+)\]\s*$/.exec(content) ?? []
    if (section !== undefined) {
      inSection = true
      const why =
        section === 'pve:pending'
          ? 'these changes had not been made yet'
          : 'snapshots stay behind; the archive has the present'
      remarks.leave(`section ${section}`, line, why)
      continue
    }
    if (inSection || content.trim() === '') continue
    if (content.startsWith('#')) {
      notes.push(decodeNote(content.slice(1)))
      continue
    }
    const [, key, value = ''] = /^\s*([\w.]+)\s*[:=]\s*(.*?)\s*$/.exec(content) ?? []
    if (key === undefined) throw new MisreadLine(line, `\`${content.trim().slice(0, 60)}\` is no \`name: value\``)
    if (key.startsWith('lxc.')) {
      remarks.leave(
        key,
        line,
        'settings of LXC itself are Stead’s own; see --nesting and --privileged for what can be given',
      )
      continue
    }
    const before = entries.get(key)
    if (before) remarks.leave(key, before.line, `it is there again in line ${line}, which counts`)
    entries.set(key, { value, line })
  }
  return { entries, notes: notes.join('\n').trim() }
}

/** A percent sign may also stand for itself. */
function decodeNote(text: string): string {
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (bytes) => Buffer.from(bytes.replaceAll('%', ''), 'hex').toString())
}

class ProxmoxContainer {
  readonly #entries: Map<string, Entry>
  readonly #remarks: ImportRemarks

  constructor(entries: Map<string, Entry>, remarks: ImportRemarks) {
    this.#entries = entries
    this.#remarks = remarks
  }

  wish(id: string, comments: string): ContainerWish {
    const memoryBytes = this.#mebibytes('memory', MEMORY_MIB_DEFAULT)
    const swapBytes = this.#mebibytes('swap', SWAP_MIB_DEFAULT)
    const { cpus, limits } = this.#processors()
    const hostname = this.#word('hostname', 'its host name')
    const description = this.#word('description', 'its notes')
    const root = this.#root()
    const startup = this.#startup()
    const notes = [comments, description ?? ''].filter((text) => text !== '').join('\n')
    const wish: ContainerWish = {
      name: nameFrom(hostname ?? '') || `ct-${id}`,
      ...(hostname === undefined ? {} : { hostname }),
      memoryBytes,
      swapBytes,
      ...(cpus === undefined ? {} : { cpus }),
      limits,
      nics: this.#numbered(/^net(\d+)$/).map(([name, entry]) => readNic(name, entry, this.#remarks)),
      nameservers: this.#list('nameserver', 'name servers'),
      searchDomains: this.#list('searchdomain', 'search domains'),
      ...(root === undefined ? {} : { diskBytes: root }),
      mounts: this.#numbered(/^mp(\d+)$/).map(([name, entry]) => readMount(name, entry, this.#remarks)),
      privileged: this.#privileged(),
      nesting: this.#nesting(),
      autostart: this.#flag('onboot', 'whether it starts by itself'),
      ...(startup === undefined ? {} : { startOrder: startup }),
      tags: this.#list('tags', 'tags'),
      ...(notes === '' ? {} : { notes }),
    }
    this.#architecture()
    for (const [name, { line }] of this.#entries) this.#remarks.leave(name, line, whyLeftOut(name))
    return wish
  }

  #takeOut(name: string): Entry | undefined {
    const entry = this.#entries.get(name)
    this.#entries.delete(name)
    return entry
  }

  /** In the order of their numbers. */
  #numbered(pattern: RegExp): [string, Entry][] {
    const found = [...this.#entries].filter(([name]) => pattern.test(name))
    for (const [name] of found) this.#entries.delete(name)
    return found.toSorted(([a], [b]) => Number(pattern.exec(a)?.[1]) - Number(pattern.exec(b)?.[1]))
  }

  #mebibytes(name: string, otherwise: number): number {
    const entry = this.#takeOut(name)
    if (entry) this.#remarks.take(name, entry.line, `${entry.value} MiB`)
    return (entry ? whole(name, entry) : otherwise) * 2 ** 20
  }

  #processors(): { cpus: number | undefined; limits: Record<string, WishedLimit> } {
    const limits: Record<string, WishedLimit> = {}
    const cores = this.#takeOut('cores')
    if (cores) this.#remarks.change('cores', cores.line, 'as much processor time, on whichever processors')
    const limit = this.#takeOut('cpulimit')
    if (limit) {
      if (!/^\d{1,5}(\.\d{1,6})?$/.test(limit.value))
        throw new MisreadLine(limit.line, `cpulimit is \`${limit.value}\`, which is no number`)
      const percent = Math.round(Number(limit.value) * 100)
      if (percent > 0) limits['cpulimit'] = { limit: percent }
      this.#remarks.take('cpulimit', limit.line, percent === 0 ? 'no limit' : `cpulimit, ${percent} % of a processor`)
    }
    const units = this.#takeOut('cpuunits')
    if (units) {
      const value = whole('cpuunits', units)
      const isShares = value === SHARES_DEFAULT || value > WEIGHT_MAX
      const ours = Math.max(1, Math.round((value * ORDINARY_UNITS) / (isShares ? SHARES_DEFAULT : 100)))
      limits['cpuunits'] = { limit: ours }
      const of = isShares ? 'a share of 1024' : 'a weight of 100'
      this.#remarks.change(
        'cpuunits',
        units.line,
        `cpuunits ${ours}, where 1000 is the ordinary one; ${value} is taken for ${of}`,
      )
    }
    return { cpus: cores && whole('cores', cores), limits }
  }

  #root(): number | undefined {
    const entry = this.#takeOut('rootfs')
    if (!entry) {
      this.#remarks.leave('rootfs', 1, 'the file has none: give --disk')
      return undefined
    }
    const { sizeBytes, readOnly } = readMount('rootfs', entry, this.#remarks)
    if (sizeBytes === undefined) this.#remarks.leave('rootfs size', entry.line, 'the file has none: give --disk')
    if (readOnly) this.#remarks.leave('rootfs ro', entry.line, 'the root of a container can be written')
    return sizeBytes
  }

  #startup(): number | undefined {
    const entry = this.#takeOut('startup')
    if (!entry) return undefined
    const parts = new Map(
      entry.value.split(',').map((part): [string, string] => {
        const [key = '', value] = part.trim().split('=', 2)
        // A number alone is the order.
        return value === undefined ? ['order', key] : [key, value]
      }),
    )
    for (const key of parts.keys())
      if (key !== 'order')
        this.#remarks.leave(`startup ${key}`, entry.line, 'rules of order wait for a guest to be ready')
    const order = parts.get('order')
    if (order === undefined) return undefined
    this.#remarks.take('startup order', entry.line, 'the order of starting')
    return whole('startup order', { value: order, line: entry.line })
  }

  /** A file without a word on it is that of a privileged container. */
  #privileged(): boolean {
    const entry = this.#takeOut('unprivileged')
    const privileged = entry?.value !== '1'
    const line = entry?.line ?? 1
    if (privileged)
      this.#remarks.change(
        'unprivileged',
        line,
        'it was privileged; here it is so only with --privileged, and most systems do not need it',
      )
    else this.#remarks.take('unprivileged', line, 'unprivileged; the files’ owners are those that the container sees')
    return privileged
  }

  #nesting(): boolean {
    const entry = this.#takeOut('features')
    let nesting = false
    for (const feature of entry?.value.split(',') ?? []) {
      const [key = '', value = ''] = feature.trim().split('=', 2)
      if (!entry || value === '0' || key === '') continue
      if (key === 'nesting') {
        nesting = true
        this.#remarks.take('features nesting', entry.line, 'nesting')
      } else
        this.#remarks.leave(`features ${key}`, entry.line, 'Stead has no such setting; see --nesting and --privileged')
    }
    return nesting
  }

  #architecture(): void {
    const entry = this.#takeOut('arch')
    if (entry?.value === 'amd64') this.#remarks.take('arch', entry.line, 'that of the hosts')
    else if (entry)
      this.#remarks.change('arch', entry.line, `hosts of amd64 run it only if they can run ${entry.value}`)
  }

  #flag(name: string, became: string): boolean {
    const entry = this.#takeOut(name)
    if (entry) this.#remarks.take(name, entry.line, became)
    return /^(1|yes|on|true)$/i.test(entry?.value ?? '')
  }

  #word(name: string, became: string): string | undefined {
    const entry = this.#takeOut(name)
    if (entry) this.#remarks.take(name, entry.line, became)
    return entry && (name === 'description' ? decodeNote(entry.value) : entry.value)
  }

  #list(name: string, became: string): string[] {
    const entry = this.#takeOut(name)
    if (entry) this.#remarks.take(name, entry.line, became)
    return (entry?.value ?? '').split(/[\s;,]+/).filter((word) => word !== '')
  }
}

function whole(name: string, { value, line }: Entry): number {
  if (!/^\d{1,12}$/.test(value)) throw new MisreadLine(line, `${name} is \`${value}\`, which is no whole number`)
  return Number(value)
}

function whyLeftOut(name: string): string {
  if (/^unused\d+$/.test(name)) return 'the container did not use it'
  if (/^dev\d+$/.test(name)) return 'devices of a host are not given to containers'
  return LEFT_OUT[name] ?? 'Stead has no such setting'
}
