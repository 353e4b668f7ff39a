/** Sizes and places of Proxmox VE's nodes and guests: what `pvesh get /cluster/resources --output-format json` prints. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { LeftOutList } from './imported.ts'

export interface ProxmoxNode {
  readonly name: string
  readonly isLost: boolean
  readonly memoryBytes?: number
  readonly cpus?: number
}

export interface ProxmoxGuest {
  /** `vm-101`. */
  readonly name: string
  readonly node: string
  readonly isRunning: boolean
  readonly memoryBytes?: number
  readonly cpus?: number
  readonly diskBytes?: number
}

export interface ProxmoxSizes {
  readonly nodes: readonly ProxmoxNode[]
  readonly guests: readonly ProxmoxGuest[]
}

type Entry = Readonly<Record<string, unknown>>

/** Fails with `bad_request`, naming the entry. Entries that are no nodes and no guests (storages, networks) are passed over. */
export function readProxmoxSizes(text: string, leftOut: LeftOutList): Result<ProxmoxSizes> {
  let json: unknown
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (cause) {
    return refuse(`it is no JSON: ${(cause as Error).message}`, cause)
  }
  if (!Array.isArray(json)) return refuse('it is no list')
  const nodes: ProxmoxNode[] = []
  const guests: ProxmoxGuest[] = []
  for (const [index, entry] of json.entries()) {
    if (typeof entry !== 'object' || entry === null) return refuse(`[${index}] is no object`)
    try {
      if (entry.type === 'node') nodes.push(nodeOf(entry, index))
      if (entry.type !== 'qemu' && entry.type !== 'lxc') continue
      if (Number(entry.template) === 1) leftOut.add('template', `[${index}], ${entry.id}`, 'it is not run')
      else guests.push(guestOf(entry, index))
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      return refuse(error.message, error)
    }
  }
  const twice =
    firstTwice(nodes.map(({ name }) => `node ${name}`)) ?? firstTwice(guests.map(({ name }) => `guest ${name}`))
  if (twice !== undefined) return refuse(`the ${twice} is there twice`)
  return ok({ nodes, guests })
}

class Misfit extends Error {
  override name = 'Misfit'
}

function nodeOf(entry: Entry, index: number): ProxmoxNode {
  return {
    name: textOf(entry, 'node', index),
    // `unknown` is what a node is that does not answer.
    isLost: entry['status'] !== undefined && entry['status'] !== 'online',
    ...amounts(entry, index),
  }
}

function guestOf(entry: Entry, index: number): ProxmoxGuest {
  const vmid = Number(entry['vmid'])
  if (!Number.isSafeInteger(vmid) || vmid <= 0) throw new Misfit(`[${index}].vmid is ${JSON.stringify(entry['vmid'])}`)
  return {
    name: `${entry['type'] === 'lxc' ? 'ct' : 'vm'}-${vmid}`,
    node: textOf(entry, 'node', index),
    isRunning: entry['status'] === 'running' || entry['status'] === 'paused',
    ...amounts(entry, index),
    ...(amountOf(entry, 'maxdisk', index) === undefined ? {} : { diskBytes: amountOf(entry, 'maxdisk', index) ?? 0 }),
  }
}

function amounts(entry: Entry, index: number): { memoryBytes?: number; cpus?: number } {
  const memoryBytes = amountOf(entry, 'maxmem', index)
  const cpus = amountOf(entry, 'maxcpu', index)
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpus === undefined ? {} : { cpus }),
  }
}

/** Undefined when absent or 0, as of a node that is down. A container's limit of half a processor counts as one. */
function amountOf(entry: Entry, field: string, index: number): number | undefined {
  const value = entry[field] ?? 0
  const amount = Number(value)
  if (typeof value === 'object' || !Number.isFinite(amount) || amount < 0)
    throw new Misfit(`[${index}].${field} is ${JSON.stringify(value)}, not a number from 0`)
  return amount === 0 ? undefined : Math.ceil(amount)
}

function firstTwice(names: readonly string[]): string | undefined {
  const seen = new Set<string>()
  return names.find((name) => seen.size === seen.add(name).size)
}

function textOf(entry: Entry, field: string, index: number): string {
  const value = entry[field]
  if (typeof value !== 'string' || value === '') throw new Misfit(`[${index}].${field} is not a name`)
  return value
}

function refuse(why: string, cause?: unknown): Result<ProxmoxSizes> {
  const hint = 'Make it with `pvesh get /cluster/resources --output-format json`'
  return fail(failure('bad_request', `The file of sizes is not valid: ${why}`, { hint, cause }))
}
