/**
 * Where a guest runs: every host is judged by the same list of objections, and the best of those without one
 * is taken. The judgement itself is kept, because it is the answer to "why there?".
 */
import type { Candidate } from '../model/decision.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { Host } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import { grantedMemoryBytes } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'

export interface Placement {
  readonly chosen: HostId | undefined
  readonly candidates: readonly Candidate[]
}

export interface PlacementQuestion {
  readonly state: ClusterState
  readonly guest: Guest
  readonly volumes: readonly Volume[]
  /** Hosts that are up by the coordinator's own view, beyond what the records say. */
  readonly usable: (host: HostId) => boolean
  /** Replicas that may serve, by host. */
  readonly serving: (volume: Volume) => readonly HostId[]
  /** Hosts on which the guest failed lately; taken only when no other is left. */
  readonly failedOn: ReadonlySet<HostId>
  /** Memory already promised within the same plan. */
  readonly promisedBytes: (host: HostId) => number
}

interface Judged {
  readonly host: Host
  readonly objection: string
  readonly score: readonly number[]
  readonly merits: readonly string[]
}

export function place(question: PlacementQuestion): Placement {
  const judged = [...question.state.hosts.values()].map(({ value: host }) => judge(question, host))
  const fit = judged.filter((entry) => entry.objection === '').toSorted((a, b) => compareScores(b.score, a.score))
  const chosen = fit[0]?.host.id
  const ordered = [...fit, ...judged.filter((entry) => entry.objection !== '')]
  return {
    chosen,
    candidates: ordered.map((entry) => ({
      host: entry.host.id,
      chosen: entry.host.id === chosen,
      rejectedBecause:
        entry.objection ||
        (entry.host.id === chosen ? '' : `${chosen} is better: ${fit[0]?.merits[0] ?? 'first in order'}`),
      merits: entry.merits,
    })),
  }
}

function judge(question: PlacementQuestion, host: Host): Judged {
  const { state, guest } = question
  const freeBytes = host.memoryBytes - grantedMemoryBytes(state, host.id, guest.id) - question.promisedBytes(host.id)
  const local = question.volumes.filter((volume) => question.serving(volume).includes(host.id)).length
  const preferred = guest.preferredHost === host.id
  const failed = question.failedOn.has(host.id)
  const merits: string[] = []
  if (preferred) merits.push('the host that was asked for')
  if (local > 0)
    merits.push(local === question.volumes.length ? 'its disks are local' : `${local} of its disks are local`)
  merits.push(`${mib(freeBytes)} MiB of memory free`)
  return {
    host,
    objection: objectionTo(question, host, freeBytes),
    score: [failed ? 0 : 1, preferred ? 1 : 0, local, freeBytes, -host.order],
    merits: failed ? [...merits, 'but the guest failed there lately'] : merits,
  }
}

function objectionTo(question: PlacementQuestion, host: Host, freeBytes: number): string {
  const { state, guest } = question
  if (host.role === 'witness') return 'it is a witness and runs no guests'
  if (!question.usable(host.id)) return 'it is not online'
  if (state.policies.get(host.id)?.value.maintenance) return 'it is in maintenance'
  if (host.accelerator === 'none') return 'it cannot run virtual machines'
  if (guest.memoryBytes > freeBytes)
    return `it has ${mib(freeBytes)} MiB of memory free, ${mib(guest.memoryBytes)} MiB are needed`
  return ''
}

function compareScores(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function mib(bytes: number): number {
  return Math.max(0, Math.floor(bytes / (1 << 20)))
}
