/**
 * The limits of one container: a record by resource, plain JSON, in the units of the table of resources. A resource, a
 * barrier or a limit that is absent is unlimited.
 */
import { failure, type Failure } from '../errors.ts'
import { fail, ok, type Result } from '../result.ts'
import {
  CONTAINER_RESOURCE_NAMES,
  containerResource,
  isContainerResource,
  PAGE_BYTES,
  pagesOf,
  type ContainerResourceName,
  type ResourceUnit,
} from './container-resources.ts'
import type { Guest, Nic } from './guest.ts'
import type { NicLimits } from './hardware.ts'

export interface BarrierAndLimit {
  readonly barrier?: number
  readonly limit?: number
}

export type ContainerLimits = { readonly [Name in ContainerResourceName]?: BarrierAndLimit }

export interface NamedLimit extends BarrierAndLimit {
  readonly resource: ContainerResourceName
}

/** OpenVZ wrote "unlimited" as the largest `long`: of 64 bits, and of 32 where no byte count can be meant. */
const LONG_MAX_32 = 2_147_483_647

const BINARY: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }
const DECIMAL: Readonly<Record<string, number>> = { K: 1, M: 1e3, G: 1e6 }

/**
 * `numproc=240`, `privvmpages=256M:272M`, `physpages=65536`, `swappages=unlimited`. A number alone is in the resource's
 * unit; K, M, G, T (also KB, KiB, …) are bytes of 1024, of `netrate` bits of 1000; P are pages. One value stands for
 * both barrier and limit, where the resource has both.
 */
export function parseLimit(text: string): Result<NamedLimit> {
  const at = text.indexOf('=')
  const name = (at === -1 ? text : text.slice(0, at)).trim().toLowerCase()
  const value = at === -1 ? '' : text.slice(at + 1).trim()
  if (!isContainerResource(name)) return unknownResource(name)
  if (value === '') return refused(`${name} is given no value`, `Write ${name}=LIMIT or ${name}=BARRIER:LIMIT`)
  const parts = value.split(':')
  if (parts.length > 2) return refused(`${text} has more than a barrier and a limit`, `Write ${name}=BARRIER:LIMIT`)
  const amounts: (number | undefined)[] = []
  for (const part of parts) {
    const amount = parseAmount(name, part.trim())
    if (!amount.ok) return amount
    amounts.push(amount.value)
  }
  const { barrier, limit } = containerResource(name)
  const [first, second] = amounts
  if (amounts.length === 2) return ok({ resource: name, ...bounds(first, second) })
  if (barrier === undefined) return ok({ resource: name, ...bounds(undefined, first) })
  // A guarantee has no limit; the barrier of physpages is a wish of its own.
  if (limit === undefined) return ok({ resource: name, ...bounds(first, undefined) })
  return ok({ resource: name, ...bounds(name === 'physpages' ? undefined : first, first) })
}

/** Replaces the resource's bounds as a whole. */
export function withLimit(limits: ContainerLimits, { resource, ...bound }: NamedLimit): ContainerLimits {
  return { ...limits, [resource]: bound }
}

/** What the ordinary options of `ct create` and `ct set` say. */
export interface SimpleLimits {
  readonly memoryBytes?: number
  readonly swapBytes?: number
  readonly processes?: number
  readonly cpus?: number
}

/**
 * `--memory`, `--swap`, `--processes` and `--cpus` as limits. Memory without a word on swap means no swap: else a
 * container at its limit would fill the host's.
 */
export function simpleLimits({ memoryBytes, swapBytes, processes, cpus }: SimpleLimits): ContainerLimits {
  const swap = swapBytes ?? (memoryBytes === undefined ? undefined : 0)
  return {
    ...(memoryBytes === undefined ? {} : { physpages: { limit: pagesOf(memoryBytes) } }),
    ...(swap === undefined ? {} : { swappages: { limit: pagesOf(swap) } }),
    ...(processes === undefined ? {} : { numproc: { limit: processes } }),
    ...(cpus === undefined ? {} : { cpus: { limit: cpus } }),
  }
}

/** `netrate` as the limits that each of the container's cards has, in both directions. */
export function nicLimitsOf({ netrate }: ContainerLimits): NicLimits | undefined {
  if (netrate?.limit === undefined) return undefined
  const bytesPerSecond = (netrate.limit * 1000) / 8
  return { receiveBytesPerSecond: bytesPerSecond, sendBytesPerSecond: bytesPerSecond }
}

type PacedGuest = Pick<Guest, 'container' | 'memoryBytes' | 'cpus'>

/**
 * How many packets a second a card of a guest may send; undefined: as many as it can. A virtual machine has no limit where
 * none is said: its packets cost its own QEMU's threads first, and many a one is a router or a firewall, whose full-sized
 * packets at one gigabit a second are 83,000.
 */
export function packetsPerSecondOf(
  { container, memoryBytes, cpus }: PacedGuest,
  { limits }: Pick<Nic, 'limits'>,
): number | undefined {
  const ofContainer = () =>
    container && effectiveLimits(container.limits ?? {}, { memoryBytes, cpus }).packetrate?.limit
  return limits?.sendPacketsPerSecond ?? ofContainer()
}

/** Of the card that may send the fewest. */
export function lowestPacketRate(guest: PacedGuest & Pick<Guest, 'nics'>): number | undefined {
  const rates = guest.nics.flatMap((nic) => packetsPerSecondOf(guest, nic) ?? [])
  return rates.length === 0 ? undefined : Math.min(...rates)
}

/** Below it not even addresses are resolved in time; the kernel's counter of what saves up has 32 bits. */
export const PACKETS_PER_SECOND_MIN = 100
export const PACKETS_PER_SECOND_MAX = 1_000_000_000

/**
 * Below these there is no room for an init, a login and a command in it, or the kernel refuses the value. Measured: the
 * smallest container, busybox with one shell, takes 1 MiB and 2 processes.
 */
const LOWEST: { readonly [Name in ContainerResourceName]?: number } = {
  lockedpages: 0,
  privvmpages: 1024,
  numproc: 8,
  physpages: 1024,
  numsiginfo: 16,
  tcpsndbuf: 65_536,
  tcprcvbuf: 65_536,
  numfile: 64,
  cpuunits: 8,
  cpulimit: 1,
  cpus: 1,
  iolimit: 16_384,
  iopslimit: 1,
  diskspace: 2048,
  diskinodes: 64,
  netrate: 8,
  packetrate: PACKETS_PER_SECOND_MIN,
}
const HIGHEST: { readonly [Name in ContainerResourceName]?: number } = {
  ...{ cpuunits: 500_000, cpus: 4096, ioprio: 7 },
  packetrate: PACKETS_PER_SECOND_MAX,
}

/**
 * What every container has unless something else is said, `unlimited` too.
 *
 * A process for each 256 KiB of memory. Without, a fork bomb is held back by the memory alone: the kernel then ends processes
 * until it comes to init (seen), and one in a container with much memory could take the last of a host's process ids
 * (`kernel.pid_max`, often 32,768).
 *
 * So much of each disk, each direction, as any program needs for long. All containers of a host share its storage daemons and
 * processors: beside one that fills its disk without a limit, a neighbour that waits for each of its writes had 0.34 to 0.50 of
 * its speed; with this one 0.91.
 *
 * So many packets as a busy server sends, and a flood of small ones does not: each costs the host's processors some
 * microseconds, whatever its size, in no container's name. Large ones are counted as the one that they are handed over as.
 */
function defaultLimits({ memoryBytes }: SimpleLimits): ContainerLimits {
  const byMemory = memoryBytes === undefined ? PROCESSES_MAX : Math.floor(memoryBytes / BYTES_PER_PROCESS)
  return {
    numproc: { limit: Math.min(PROCESSES_MAX, Math.max(PROCESSES_MIN, byMemory)) },
    iolimit: { limit: IO_BYTES_PER_SECOND },
    packetrate: { limit: PACKETS_PER_SECOND },
  }
}

const IO_BYTES_PER_SECOND = 64 << 20
const PACKETS_PER_SECOND = 50_000
const BYTES_PER_PROCESS = 256 * 1024
/** What systemd and a few services take. */
const PROCESSES_MIN = 64
/** More threads than the largest ordinary programs have. */
const PROCESSES_MAX = 8192

/**
 * With what the guest's size says of memory and processors; a resource that is named in the limits is meant as it stands
 * there.
 */
export function effectiveLimits(limits: ContainerLimits, size: SimpleLimits): ContainerLimits {
  return { ...defaultLimits(size), ...simpleLimits(size), ...limits }
}

/** Replaces what is named; what is lifted is named no more, but where it would have a limit by default. */
export function changedLimits(before: ContainerLimits, change: ContainerLimits): ContainerLimits {
  const isKept = ([name, { barrier, limit }]: [string, BarrierAndLimit]) =>
    barrier !== undefined || limit !== undefined || Object.hasOwn(defaultLimits({}), name)
  return Object.fromEntries(Object.entries({ ...before, ...change }).filter(isKept))
}

/** The first thing that is wrong for a container of this size, said so that it can be put right. */
export function limitsProblem(limits: ContainerLimits, size: SimpleLimits): Failure | undefined {
  const checked = checkLimits(effectiveLimits(limits, size))
  return checked.ok ? undefined : checked.error
}

function checkLimits(limits: ContainerLimits): Result<void> {
  for (const name of Object.keys(limits)) if (!isContainerResource(name)) return unknownResource(name)
  for (const name of CONTAINER_RESOURCE_NAMES) {
    const bound = limits[name]
    if (bound === undefined) continue
    const checked = checkBound(name, bound)
    if (!checked.ok) return checked
  }
  const { physpages, swappages, vmguarpages } = limits
  if (swappages?.limit !== undefined && physpages?.limit === undefined)
    return refused(
      'swappages has a limit and physpages has none',
      'Give physpages a limit too, for example by --memory',
    )
  const most = physpages?.limit === undefined ? undefined : physpages.limit + (swappages?.limit ?? 0)
  if (vmguarpages?.barrier !== undefined && most !== undefined && vmguarpages.barrier > most)
    return refused(
      `vmguarpages promises ${vmguarpages.barrier} pages, physpages and swappages allow ${most}`,
      'Promise less, or allow more',
    )
  return ok()
}

function checkBound(name: ContainerResourceName, { barrier, limit }: BarrierAndLimit): Result<void> {
  const { unit, barrier: hasBarrier } = containerResource(name)
  for (const value of [barrier, limit])
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      return refused(`${name} is ${value}, which is no whole number of ${unit}`, 'Give a whole number, 0 or more')
  const lowest = LOWEST[name] ?? 0
  // OpenVZ's files say 0 for a barrier that is not used.
  const effective = hasBarrier !== undefined && barrier !== 0 ? (barrier ?? limit) : limit
  for (const value of [effective, limit])
    if (value !== undefined && value < lowest)
      return refused(
        `${name} is ${amountText(value, unit)}; below ${amountText(lowest, unit)} a container does not work`,
        `Give at least ${amountText(lowest, unit)}`,
      )
  const highest = HIGHEST[name]
  if (limit !== undefined && highest !== undefined && limit > highest)
    return refused(`${name} is ${limit}, its highest value is ${highest}`, `Give at most ${highest}`)
  if (barrier !== undefined && limit !== undefined && barrier > limit)
    return refused(
      `the barrier of ${name} (${barrier}) is above its limit (${limit})`,
      'The barrier comes first: NAME=BARRIER:LIMIT',
    )
  return ok()
}

/** `64 pages (256 KiB)`; `1.5 GiB` is what a person would say. */
export function amountText(value: number, unit: ResourceUnit): string {
  if (unit === 'pages') return `${value} pages (${bytesText(value * PAGE_BYTES)})`
  if (unit === 'bytes') return bytesText(value)
  if (unit === 'KiB') return bytesText(value * 1024)
  if (unit === 'bytes/s') return `${bytesText(value)}/s`
  if (unit === 'percent') return `${value} %`
  return unit === 'count' || unit === 'level' ? String(value) : `${value} ${unit}`
}

/** As a person would say it: `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const at = ['TiB', 'GiB', 'MiB', 'KiB'].findIndex((_, index) => bytes >= 2 ** (40 - 10 * index))
  if (at === -1) return `${bytes} bytes`
  const value = bytes / 2 ** (40 - 10 * at)
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${['TiB', 'GiB', 'MiB', 'KiB'][at]}`
}

function parseAmount(name: ContainerResourceName, text: string): Result<number | undefined> {
  if (/^unlimited$/i.test(text)) return ok(undefined)
  const { unit } = containerResource(name)
  const match = /^(\d+(?:\.\d+)?) *([kmgt]?)(p|%|i?b?)$/i.exec(text)
  if (!match) return refused(`${name}: “${text}” is no amount`, exampleOf(name, unit))
  const [, digits = '', letter = '', tail = ''] = match
  const number = Number(digits)
  const scale = scaleOf(unit, letter.toUpperCase(), tail.toUpperCase())
  if (scale === undefined) return refused(`${name} is given in ${unit}, “${text}” is not`, exampleOf(name, unit))
  const value = Math.ceil(number * scale)
  const isMost = value > Number.MAX_SAFE_INTEGER || (value === LONG_MAX_32 && (unit === 'pages' || unit === 'count'))
  return ok(isMost ? undefined : value)
}

/** By what to multiply for the resource's unit; nothing where the suffix makes no sense. */
function scaleOf(unit: ResourceUnit, letter: string, tail: string): number | undefined {
  if (tail === '%') return unit === 'percent' && letter === '' ? 1 : undefined
  if (tail === 'P') return unit === 'pages' && letter === '' ? 1 : undefined
  if (letter === '' && tail === '') return 1
  const bytes = letter === '' ? 1 : BINARY[letter]
  if (bytes === undefined) return undefined
  if (unit === 'pages') return bytes / PAGE_BYTES
  if (unit === 'KiB') return bytes / 1024
  if (unit === 'bytes' || unit === 'bytes/s') return bytes
  if (unit === 'kbit/s' && tail === '') return DECIMAL[letter]
  return undefined
}

function exampleOf(name: string, unit: ResourceUnit): string {
  const example = unit === 'kbit/s' ? '100M' : ['pages', 'bytes', 'KiB', 'bytes/s'].includes(unit) ? '64M' : '100'
  return `For example ${name}=${example}, or ${name}=unlimited`
}

function unknownResource(name: string): Result<never> {
  const [nearest] = CONTAINER_RESOURCE_NAMES.map((known) => [distance(name, known), known] as const).toSorted(
    ([a], [b]) => a - b,
  )
  const meant = nearest && nearest[0] <= 3 ? `Did you mean ${nearest[1]}? ` : ''
  return refused(`there is no resource “${name}”`, `${meant}\`stead ct counters --explain\` lists them all`)
}

/** Levenshtein's: how many letters to put in, take out or change. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...to].entries())
      next.push(Math.min((row[j] ?? 0) + (letter === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    row = next
  }
  return row[to.length] ?? 0
}

function bounds(barrier: number | undefined, limit: number | undefined): BarrierAndLimit {
  return { ...(barrier === undefined ? {} : { barrier }), ...(limit === undefined ? {} : { limit }) }
}

function refused(message: string, hint: string): Result<never> {
  return fail(failure('bad_request', message, { hint }))
}
