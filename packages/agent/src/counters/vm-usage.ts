/**
 * What a virtual machine takes of its host, as its QEMU process and its taps show it: no question to QEMU. Its disks are
 * read and written by connections, which the kernel does not count for a process.
 */
import { readdirSync } from 'node:fs'
import type { GuestId } from '@stead/core/model/ids.ts'
import { PAGE_BYTES } from '@stead/core/model/container-resources.ts'
import { readNumber, readText } from '../container/cgroups/cgroup-tree.ts'
import { isTapOf } from '../network/linux-network-host.ts'

/** USER_HZ: 100 on every architecture that QEMU runs on (`man 7 time`). */
const TICKS_PER_SECOND = 100

export interface VmUsage {
  readonly pid: number
  readonly cpuMicroseconds: number
  /** Resident memory, of QEMU itself too. */
  readonly memoryBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly sentPackets: number
}

/** Undefined when the process has just ended. */
export function vmUsage(guest: GuestId, pid: number, links: readonly string[]): VmUsage | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  const memory = readText(`/proc/${pid}/statm`)
  if (stat === undefined || memory === undefined) return undefined
  // Fields 14 and 15, user and system time; the name in parentheses may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  const taps = links.filter((link) => isTapOf(guest, link))
  const sum = (name: string) =>
    taps.reduce((bytes, tap) => bytes + (readNumber(`/sys/class/net/${tap}/statistics/${name}`) ?? 0), 0)
  return {
    pid,
    cpuMicroseconds: (ticks / TICKS_PER_SECOND) * 1e6,
    memoryBytes: Number(memory.split(' ')[1]) * PAGE_BYTES,
    // What the host receives from a tap the guest has sent.
    receivedBytes: sum('tx_bytes'),
    sentBytes: sum('rx_bytes'),
    sentPackets: sum('rx_packets'),
  }
}

export function networkLinks(): readonly string[] {
  return readdirSync('/sys/class/net')
}
