/**
 * A cluster as a file: what an administrator writes, exports from a live cluster or imports from another product, to
 * ask "what if" and to play scenarios. Names stand for ids, sizes are in bytes. `packages/api/src/cluster-file.ts`
 * holds the schema that checks it on reading.
 */
import type { ClusterPolicy } from './cluster-policy.ts'
import type { HaMode } from './guest.ts'
import type { HostRole } from './host.ts'
import type { GuestLifecycle } from './lifecycle.ts'
import type { Rule } from './rule.ts'

export const CLUSTER_FILE_FORMAT = 'stead-cluster/1'

/** Of one file. Ten times what a cluster may have, so that a plan for the future fits as well. */
export const CLUSTER_FILE_LIMITS = { hosts: 1_000, guests: 100_000, rules: 100_000 } as const

export interface FileHost {
  readonly name: string
  /** `compute` when absent. */
  readonly role?: HostRole
  readonly memoryBytes: number
  readonly cpus: number
  /** Size of its pool; as much as its replicas need when absent. */
  readonly poolBytes?: number
  /** `10.0.2`; when absent no guest moves live to or from it. */
  readonly qemuVersion?: string
  /** `online` when absent. */
  readonly state?: 'online' | 'lost'
  readonly maintenance?: boolean
  readonly faultDomains?: Readonly<Record<string, string>>
}

/** A disk beside a guest's first. */
export interface FileDisk {
  readonly diskBytes: number
  readonly replicasOn: readonly string[]
  readonly staleOn?: readonly string[]
}

export interface FileGuest {
  readonly name: string
  readonly memoryBytes: number
  readonly cpus: number
  /** 0 when absent. */
  readonly diskBytes?: number
  /** Hosts that hold its disk, all in-sync but those in `staleOn`. Absent: its disk can be reached from every host. */
  readonly replicasOn?: readonly string[]
  readonly staleOn?: readonly string[]
  /** Only where the first disk has replicas too. */
  readonly moreDisks?: readonly FileDisk[]
  /** Where it runs; absent: nowhere. */
  readonly host?: string
  /** `started` when absent. */
  readonly ha?: HaMode
  readonly priority?: number
  readonly maxRestart?: number
  readonly maxRelocate?: number
  readonly failback?: boolean
  readonly lifecycle?: GuestLifecycle
}

export interface ClusterFile {
  readonly format: typeof CLUSTER_FILE_FORMAT
  readonly name: string
  readonly policy?: Partial<ClusterPolicy>
  readonly hosts: readonly FileHost[]
  readonly guests: readonly FileGuest[]
  /** Guests and hosts by name. */
  readonly rules: readonly Rule[]
}
