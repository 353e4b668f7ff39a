/**
 * What only the processes themselves tell: read from `/proc`, about 50 µs a process, and therefore more seldom than the
 * control groups. Nothing here follows a path into the container's file system or takes a process's memory lock: both
 * may hang while its disk is held, and the agent is who lets it go again.
 */
import { readdirSync, statSync } from 'node:fs'
import type { CounterReadings } from '@stead/core/model/container-counters.ts'
import { PAGE_BYTES } from '@stead/core/model/container-resources.ts'
import { isGone, readText } from './cgroup-tree.ts'

const KIB_PER_PAGE = PAGE_BYTES / 1024
/** Major numbers of the slave ends of pseudo-terminals (Documentation/admin-guide/devices.txt). */
const PTY_MAJOR_MIN = 136
const PTY_MAJOR_MAX = 143

/** How many locks each process of the host holds; those that wait for one hold none. */
export type FileLocks = ReadonlyMap<number, number>

export function readFileLocks(proc = '/proc'): FileLocks {
  const locks = new Map<number, number>()
  for (const line of (readText(`${proc}/locks`) ?? '').split('\n')) {
    const pid = Number(/^\d+: (?!->)\S+ +\S+ +\S+ +(\d+) /.exec(line)?.[1])
    if (pid > 0) locks.set(pid, (locks.get(pid) ?? 0) + 1)
  }
  return locks
}

export function processCounters(pids: readonly number[], locks: FileLocks, proc = '/proc'): CounterReadings {
  let privatePages = 0
  let files = 0
  let held = 0
  const terminals = new Set<number>()
  /** Waiting signals are counted for each user, and shown by each of his processes. */
  const signals = new Map<string, number>()
  for (const pid of pids) {
    const status = readText(`${proc}/${pid}/status`)
    if (status === undefined) continue
    privatePages += (number(/^VmData:\s+(\d+)/m.exec(status)) + number(/^VmStk:\s+(\d+)/m.exec(status))) / KIB_PER_PAGE
    const user = /^Uid:\s+(\d+)/m.exec(status)?.[1] ?? ''
    signals.set(user, number(/^SigQ:\s+(\d+)/m.exec(status)))
    files += openFiles(`${proc}/${pid}/fd`)
    held += locks.get(pid) ?? 0
    const terminal = terminalOf(readText(`${proc}/${pid}/stat`) ?? '')
    if (terminal !== undefined) terminals.add(terminal)
  }
  return {
    privvmpages: { held: Math.ceil(privatePages) },
    numfile: { held: files },
    numflock: { held },
    numpty: { held: terminals.size },
    numsiginfo: { held: [...signals.values()].reduce((sum, count) => sum + count, 0) },
  }
}

/** Of the network namespace of the container's init. */
export function socketCounters(init: number, proc = '/proc'): CounterReadings {
  const four = readText(`${proc}/${init}/net/sockstat`) ?? ''
  const six = readText(`${proc}/${init}/net/sockstat6`) ?? ''
  const tcp = number(/^TCP: inuse (\d+)/m.exec(four)) + number(/^TCP6: inuse (\d+)/m.exec(six))
  const all = number(/^sockets: used (\d+)/m.exec(four))
  return { numtcpsock: { held: tcp }, numothersock: { held: Math.max(0, all - tcp) } }
}

export interface NetworkUsage {
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly sentPackets: number
}

/**
 * Of the network namespace of the container's init, without the loopback:
 * `eth0: bytes packets errs drop fifo frame compressed multicast bytes …`.
 */
export function networkUsage(init: number, proc = '/proc'): NetworkUsage {
  let receivedBytes = 0
  let sentBytes = 0
  let sentPackets = 0
  for (const line of (readText(`${proc}/${init}/net/dev`) ?? '').split('\n')) {
    const [name = '', figures] = line.split(':')
    if (figures === undefined || name.trim() === 'lo') continue
    const columns = figures.trim().split(/\s+/)
    receivedBytes += Number(columns[0])
    sentBytes += Number(columns[8])
    sentPackets += Number(columns[9])
  }
  return { receivedBytes, sentBytes, sentPackets }
}

/** Linux 6.2 and later give their number as the folder's size (fs/proc/fd.c), ten times faster than its list. */
function openFiles(folder: string): number {
  try {
    return statSync(folder).size || readdirSync(folder).length
  } catch (cause) {
    if (isGone(cause)) return 0
    throw cause
  }
}

/** Field 7; the name in parentheses may hold anything, so it is counted from behind it. */
function terminalOf(stat: string): number | undefined {
  const device = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[4])
  const major = (device >> 8) & 0xfff
  return major >= PTY_MAJOR_MIN && major <= PTY_MAJOR_MAX ? device : undefined
}

function number(match: RegExpExecArray | null): number {
  return Number(match?.[1] ?? 0)
}
