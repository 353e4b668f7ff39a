/** How the cluster is to decide where nobody says otherwise. One record, set by the administrator. */

/** What becomes of a host's guests when the host is shut down in order. */
export type ShutdownPolicy =
  /** They are stopped and start on other hosts. */
  | 'failover'
  /** They are stopped and wait for the host. */
  | 'freeze'
  /** They are moved off before the host goes. */
  | 'migrate'
  /** `freeze` for a reboot, `failover` for a power-off. */
  | 'conditional'

export interface ClusterPolicy {
  /** Virtual processors that guests may take for each one that a host has. */
  readonly cpuOvercommit: number
  /** Memory of each host that guests may not take, bytes. */
  readonly memoryReserveBytes: number
  readonly admission: {
    /** How many hosts may be lost at a time without a guest losing its place. */
    readonly hostFailures: number
    readonly onBreach: 'ignore' | 'warn' | 'refuse'
  }
  readonly balancing: {
    readonly mode: 'off' | 'recommend' | 'automatic'
    /** Balancing begins above this score: the standard deviations of the hosts' shares of memory and of processors. */
    readonly scoreMax: number
    /** It ends below this one. */
    readonly scoreGoal: number
    /** How long the imbalance must last first, ms. */
    readonly holdMs: number
    readonly movesPerHourMax: number
  }
  readonly shutdown: ShutdownPolicy
  /** Live moves; `DEFAULT_MIGRATION` when absent. */
  readonly migration?: MigrationPolicy
  /** False: no guest is started, moved or recovered unless somebody asks for it. */
  readonly armed: boolean
  /** True: a change is taken only from somebody who has seen what it will do. */
  readonly whatIfRequired: boolean
  /** Networks (CIDR) to which hosts also connect on a user's word, though they are private or special. */
  readonly outboundAllow?: readonly string[]
  /** One more IPv4 address of the LAN, at which some host always answers. */
  readonly clusterAddress?: string
  /** Whose signatures make a template trusted: keys by the names that they have here, `ssh-ed25519 BASE64`. */
  readonly templateKeys?: Readonly<Record<string, string>>
  /** `demanded`: a template without such a signature is refused. `optional` when absent. */
  readonly templateSignatures?: 'optional' | 'demanded'
  /** Of the cluster's own users; `DEFAULT_PASSWORDS` when absent. */
  readonly passwords?: PasswordPolicy
}

export interface PasswordPolicy {
  /** Characters. */
  readonly lengthMin: number
  /** Refuse those that are tried first, and what people make of them. */
  readonly refuseGuessable: boolean
}

export const DEFAULT_PASSWORDS: PasswordPolicy = { lengthMin: 12, refuseGuessable: true }

export interface MigrationPolicy {
  /** What one live move may take of the network; 0: as much as there is. */
  readonly bandwidthBytesPerSecond: number
  /** How long a guest may stand still at the end of a live move, by QEMU's forecast, ms. */
  readonly downtimeMs: number
  /** Let a guest whose copy does not converge go on at the destination before all its memory is there. */
  readonly postCopy: boolean
  /** The memory is compressed on its way, which pays where the network is slower than a processor. Not with post-copy. */
  readonly compressed?: boolean
}

export const DEFAULT_MIGRATION: MigrationPolicy = { bandwidthBytesPerSecond: 0, downtimeMs: 200, postCopy: false }

export const DEFAULT_POLICY: ClusterPolicy = {
  cpuOvercommit: 8,
  memoryReserveBytes: 0,
  admission: { hostFailures: 1, onBreach: 'warn' },
  balancing: { mode: 'recommend', scoreMax: 0.3, scoreGoal: 0.15, holdMs: 10 * 60_000, movesPerHourMax: 6 },
  shutdown: 'conditional',
  armed: true,
  whatIfRequired: false,
}
