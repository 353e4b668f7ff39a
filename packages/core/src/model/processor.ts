/**
 * Which processor guests see. By default the same on every host: what all of them can, by the levels of the x86-64 ABI
 * (x86-64-v1 to v4), so that every guest can go live to every host. Names of flags are those of /proc/cpuinfo.
 */
import type { Host } from './host.ts'

export type ProcessorLevel = 1 | 2 | 3 | 4
/** `host`: all that the host's own processor can; it then moves live only between equal ones. */
export type GuestProcessor = 'baseline' | 'host'

/** What each level asks for beyond the one below. Source: x86-64 psABI, table 3.1. */
export const LEVEL_FLAGS: Readonly<Record<2 | 3 | 4, readonly string[]>> = {
  2: ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3'],
  3: ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave'],
  4: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'],
}

export function levelOf(flags: ReadonlySet<string>): ProcessorLevel {
  const has = (level: 2 | 3 | 4) => LEVEL_FLAGS[level].every((flag) => flags.has(flag))
  if (!has(2)) return 1
  if (!has(3)) return 2
  return has(4) ? 4 : 3
}

/** What every host that runs guests can, lost ones included: they come back. Undefined while none says what it can. */
export function baselineOf(hosts: Iterable<Host>): ProcessorLevel | undefined {
  let lowest: ProcessorLevel | undefined
  for (const { role, processor } of hosts)
    if (role === 'compute' && processor) lowest = Math.min(lowest ?? 4, processor.level) as ProcessorLevel
  return lowest
}
