/** A schedule of faults for a lab, drawn from a seed: the same seed gives the same schedule on every machine. */
import { SeededRandom } from '@stead/sim/seeded-random.ts'

const NETWORKS = ['lan', 'san', 'ran'] as const
const PROCESSES = ['agent', 'qsd', 'etcd', 'guardian', 'qemu'] as const
/** What runs a container; its front is a QEMU without a machine. */
export const CONTAINER_PROCESSES = ['front', 'stead-disk', 'lxc'] as const
type FaultyProcess = (typeof PROCESSES)[number] | (typeof CONTAINER_PROCESSES)[number]
/** How long a fault lasts that is healed before the cluster has come to rest. */
const BRIEF_MS_MAX = 4_000
const PAIR_SHARE = 0.15
const BRIEF_SHARE = 0.3
const HURRY_SHARE = 0.25

export type Fault =
  | { readonly kind: 'power-off' | 'freeze' | 'cut-all'; readonly host: string }
  | { readonly kind: 'cut'; readonly host: string; readonly network: (typeof NETWORKS)[number] }
  | { readonly kind: 'cut-between'; readonly host: string; readonly other: string }
  | { readonly kind: 'kill'; readonly host: string; readonly process: FaultyProcess }

export interface FaultStep {
  /** From 1. */
  readonly number: number
  /** One fault, or two that hit different hosts one after the other. */
  readonly faults: readonly Fault[]
  /** Milliseconds after which it is healed whatever the cluster does; absent: only once the cluster is at rest. */
  readonly healAfterMs?: number
  /** Whether the next fault comes before all replicas are current again. */
  readonly hurry: boolean
}

/** `more`: processes that are killed besides those of every host; with others a seed means something else. */
export function faultSchedule(
  seed: number,
  hosts: readonly string[],
  steps: number,
  more: readonly FaultyProcess[] = [],
): readonly FaultStep[] {
  const processes = [...PROCESSES, ...more]
  const random = new SeededRandom(seed)
  const schedule: FaultStep[] = []
  for (let number = 1; number <= steps; number++) {
    const first = drawFault(random, hosts, processes)
    const others = hosts.filter((host) => host !== first.host)
    const faults = random.fraction() < PAIR_SHARE ? [first, drawFault(random, others, processes)] : [first]
    const brief = random.fraction() < BRIEF_SHARE
    const healAfterMs = Math.round(random.fraction() * BRIEF_MS_MAX)
    schedule.push({ number, faults, hurry: random.fraction() < HURRY_SHARE, ...(brief ? { healAfterMs } : {}) })
  }
  return schedule
}

/** One line for people, as the lab's command would be written. */
export function describeStep({ number, faults, healAfterMs, hurry }: FaultStep): string {
  const healed = healAfterMs === undefined ? 'healed once at rest' : `healed after ${healAfterMs} ms`
  return `${String(number).padStart(2)}. ${faults.map(describeFault).join(' + ')}, ${healed}${hurry ? ', the next comes in a hurry' : ''}`
}

export function describeFault(fault: Fault): string {
  return faultCommand(fault).join(' ')
}

/** The arguments of `stead lab` that do it. */
export function faultCommand(fault: Fault): readonly string[] {
  switch (fault.kind) {
    case 'cut':
      return ['cut', fault.host, fault.network]
    case 'cut-all':
      return ['cut', fault.host]
    case 'cut-between':
      return ['cut-between', fault.host, fault.other]
    case 'kill':
      return ['kill', fault.host, fault.process]
    default:
      return [fault.kind, fault.host]
  }
}

/** The arguments of `stead lab` that undo it; undefined for what heals by itself. */
export function healCommand(fault: Fault): readonly string[] | undefined {
  switch (fault.kind) {
    case 'power-off':
      return ['power-on', fault.host]
    case 'freeze':
      return ['thaw', fault.host]
    case 'cut':
      return ['mend', fault.host, fault.network]
    case 'cut-all':
    case 'cut-between':
      return ['mend', fault.host]
    default:
      return undefined
  }
}

function drawFault(random: SeededRandom, hosts: readonly string[], processes: readonly FaultyProcess[]): Fault {
  const host = random.pick(hosts)
  const others = hosts.filter((other) => other !== host)
  const kinds = ['power-off', 'freeze', 'cut', 'cut', 'cut-all', 'cut-between', 'kill', 'kill', 'kill'] as const
  const kind = random.pick(kinds)
  switch (kind) {
    case 'cut':
      return { kind, host, network: random.pick(NETWORKS) }
    case 'cut-between':
      return { kind, host, other: random.pick(others) }
    case 'kill':
      return { kind, host, process: random.pick(processes) }
    default:
      return { kind, host }
  }
}
