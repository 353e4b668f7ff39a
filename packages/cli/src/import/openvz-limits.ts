/** OpenVZ's user beancounters: how their values are written, and what each is to a container of Stead. */
import { MisreadLine, type WishedLimit } from './container-wish.ts'

export const OPENVZ_PAGE_BYTES = 4096

type Unit = 'pages' | 'bytes' | 'items' | 'KiB'

export interface Beancounter {
  readonly unit: Unit
  /** How its meaning changes; absent: it does not. */
  readonly change?: string
}

const COUNTED = 'it is counted and shown, but no kernel of today can limit it'
const PER_PROCESS = 'it holds for each process by itself, not for all of them together'
const IN_MEMORY = 'it is part of the memory now, and bounded by its limit only'

export const BEANCOUNTERS: Readonly<Record<string, Beancounter>> = {
  KMEMSIZE: { unit: 'bytes', change: IN_MEMORY },
  LOCKEDPAGES: { unit: 'pages', change: PER_PROCESS },
  PRIVVMPAGES: { unit: 'pages', change: PER_PROCESS },
  SHMPAGES: { unit: 'pages', change: IN_MEMORY },
  NUMPROC: { unit: 'items' },
  PHYSPAGES: { unit: 'pages' },
  SWAPPAGES: { unit: 'pages' },
  VMGUARPAGES: {
    unit: 'pages',
    change: 'memory is kept for it where the host runs short; allocations are not promised',
  },
  OOMGUARPAGES: { unit: 'pages', change: COUNTED },
  NUMTCPSOCK: { unit: 'items', change: COUNTED },
  NUMFLOCK: { unit: 'items', change: COUNTED },
  NUMPTY: { unit: 'items' },
  NUMSIGINFO: { unit: 'items', change: 'it holds for each user, not for all of them together' },
  TCPSNDBUF: { unit: 'bytes', change: 'limited together with TCPRCVBUF on cgroup v1; on v2 by the memory only' },
  TCPRCVBUF: { unit: 'bytes', change: 'limited together with TCPSNDBUF on cgroup v1; on v2 by the memory only' },
  OTHERSOCKBUF: { unit: 'bytes', change: IN_MEMORY },
  DGRAMRCVBUF: { unit: 'bytes', change: IN_MEMORY },
  NUMOTHERSOCK: { unit: 'items', change: COUNTED },
  DCACHESIZE: { unit: 'bytes', change: IN_MEMORY },
  NUMFILE: { unit: 'items', change: PER_PROCESS },
  NUMIPTENT: { unit: 'items', change: 'nobody counts the rules of its own packet filter, and nothing limits them' },
}

const FACTOR: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }
/** The largest `long` of 32 bits, by which older files say that there is no limit; 64 bits' is beyond exact numbers. */
const LONG_MAX_32 = 2 ** 31 - 1

/**
 * `BARRIER:LIMIT`, or one value for both, in the unit. A suffix K, M, G, T means bytes, P pages; items take none.
 * Undefined: unlimited.
 */
export function readBounds(value: string, unit: Unit, line: number): WishedLimit {
  const parts = value.split(':')
  if (parts.length > 2) throw new MisreadLine(line, `\`${value}\` is more than a barrier and a limit`)
  const [first, second] = parts.map((part) => readAmount(part.trim(), unit, line))
  const limit = parts.length === 2 ? second : first
  return { ...(first === undefined ? {} : { barrier: first }), ...(limit === undefined ? {} : { limit }) }
}

function readAmount(text: string, unit: Unit, line: number): number | undefined {
  if (/^unlimited$/i.test(text)) return undefined
  const [, digits, suffix] = /^(\d{1,20})([KMGTPB]?)$/i.exec(text) ?? []
  if (digits === undefined) throw new MisreadLine(line, `\`${text}\` is no number, and not unlimited`)
  const letter = (suffix ?? '').toUpperCase()
  const number = Number(digits)
  if (!Number.isSafeInteger(number) || (number === LONG_MAX_32 && letter === '' && unit !== 'KiB')) return undefined
  if (letter === '') return number
  if (unit === 'items') {
    if (letter === 'P' || letter === 'B')
      throw new MisreadLine(line, `\`${text}\` is a size, and items are counted here`)
    return number * (FACTOR[letter] ?? 1)
  }
  const bytes = number * (letter === 'P' ? OPENVZ_PAGE_BYTES : (FACTOR[letter] ?? 1))
  const unitBytes = unit === 'pages' ? OPENVZ_PAGE_BYTES : unit === 'KiB' ? 1024 : 1
  return Math.ceil(bytes / unitBytes)
}
