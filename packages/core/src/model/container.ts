/** What makes a guest a system container, and what hosts can do for containers. docs/internals/containers.md. */
import type { ContainerLimits } from './container-limits.ts'
import type { VolumeId } from './ids.ts'

/** User and group ids of the host that a container has for itself: enough for `nobody` (65534), as user_namespaces(7) has it. */
export const IDS_PER_CONTAINER = 65_536
/** Below lie ids of the host and those that Debian gives to users of `newuidmap`. */
const ID_BASE_FIRST = 1_000_000
/** The kernel's ids are of 32 bits, and -1 is none. */
const ID_BASE_LAST = 0xffff_ffff - 2 * IDS_PER_CONTAINER

/**
 * Archives of strangers are unpacked as 0 to 65,535 of these ids: far above those of users (below 2^16), of `/etc/subuid`
 * (from 100,000) and of systemd's containers (below 1,879,048,192); the last block but one below 2^31.
 */
export const SCRATCH_ID_BASE = 2 ** 31 - 2 * IDS_PER_CONTAINER

/** How its system is begun and ended: what its template knows. */
export interface ContainerSystem {
  /** What asks its init to shut down: `SIGPWR`, `SIGRTMIN+3` of systemd, `SIGUSR1` of busybox. */
  readonly haltSignal: string
  /** Command line of process 1; `/sbin/init` when absent. */
  readonly init?: readonly string[]
  /** Of an application's image; a system begins as root, in `/`. */
  readonly process?: ContainerProcess
}

/** How process 1 begins. */
export interface ContainerProcess {
  /** `NAME=value`. */
  readonly environment: readonly string[]
  readonly folder?: string
  /** Inside the container; root's when absent. */
  readonly uid?: number
  readonly gid?: number
}

export interface ContainerSettings {
  /** The image that its root was made from; for people. */
  readonly template: string
  readonly system: ContainerSystem
  /** First of its ids on the host; unique in the cluster, so that it is the same wherever it runs. */
  readonly idBase: number
  /** Its name in the cluster when absent. */
  readonly hostname?: string
  readonly nameservers?: readonly string[]
  readonly searchDomains?: readonly string[]
  /** Its root is the host's root, kept in by capabilities and seccomp alone. */
  readonly privileged?: true
  /** It may make containers itself: mount `/proc` and `/sys` anew, and have namespaces of its own. */
  readonly nesting?: true
  /** Beyond memory and processors, which every guest has. */
  readonly limits?: ContainerLimits
  /** Where its volumes after the first are mounted. */
  readonly mounts?: readonly ContainerMount[]
}

export interface ContainerMount {
  readonly volume: VolumeId
  /** Absolute, inside the container. */
  readonly path: string
}

/** What a host can do for containers; a host whose record has none runs no containers. */
export interface ContainerHost {
  /** Version of LXC. */
  readonly lxc: string
  /** Absent: it has not been tried yet. */
  readonly liveMove?: {
    readonly possible: boolean
    /** What a trial on this very kernel showed; empty when it is possible. */
    readonly reason: string
    /** Version of CRIU; absent where there is none. */
    readonly criu?: string
  }
}

/** The lowest base that nobody has; undefined when all are taken. */
export function freeIdBase(taken: ReadonlySet<number>): number | undefined {
  for (let base = ID_BASE_FIRST; base <= ID_BASE_LAST; base += IDS_PER_CONTAINER)
    if (!taken.has(base) && Math.abs(base - SCRATCH_ID_BASE) >= IDS_PER_CONTAINER) return base
  return undefined
}
