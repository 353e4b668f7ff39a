import type { ContainerHost } from './container.ts'
import type { HostDeviceClass } from './host-shares.ts'
import type { HostId } from './ids.ts'
import type { ProcessorLevel } from './processor.ts'
import type { HugePages } from './platform.ts'

/** LAN: guests' and users' traffic. SAN: compute to storage. RAN: replica to replica. */
export const NETWORK_ROLES = ['lan', 'san', 'ran'] as const
export type NetworkRole = (typeof NETWORK_ROLES)[number]

/** A witness votes and watches; it runs no guest and holds no data. */
export type HostRole = 'compute' | 'witness'

export interface Pool {
  readonly name: string
  /** Folder on the host's file system that holds the replicas. */
  readonly path: string
  readonly capacityBytes: number
  /** Its file system can hold roots of containers as folders with quotas (btrfs). */
  readonly subvolumes?: true
}

/** What a host says of itself when it joins or starts. Written by that host's agent only. */
export interface Host {
  readonly id: HostId
  readonly role: HostRole
  /** Place in the order of succession: the lowest one alive coordinates. */
  readonly order: number
  readonly addresses: Readonly<Partial<Record<NetworkRole, string>>>
  /** TCP port of the agent's internal (host to host) server, on every address. */
  readonly agentPort: number
  readonly pools: readonly Pool[]
  readonly cpuCount: number
  readonly memoryBytes: number
  /** Changes with each boot of the host. */
  readonly bootId: string
  /** Of the certificate that it shows to other hosts, hexadecimal: what is revoked when it is removed. */
  readonly certificateSerial?: string
  /** That certificate, PEM: what is only for this host is written for its key. */
  readonly certificate?: string
  /** Generation of the heartbeats' key that its guardian sends by and takes; 0 when absent. */
  readonly heartbeatKey?: number
  /** SHA-256 of the authorities that its agent and its member of the store trust; absent while those differ. */
  readonly trusts?: readonly string[]
  readonly accelerator: 'kvm' | 'tcg' | 'none'
  /** Devices that guests can have; none when absent. */
  readonly devices?: readonly HostDeviceClass[]
  /** How many huge pages are set aside, by size. */
  readonly hugePages?: Readonly<Partial<Record<HugePages, number>>>
  /** What it can do for containers; absent: it runs none. */
  readonly containers?: ContainerHost
  /** Its storage is reached through a gate, in TLS, and it opens that of others so; absent: a version that knows of none. */
  readonly storageGate?: true
  /** The agents reach a device that cuts its power and restores it; absent: only people at the machine do. */
  readonly powerSwitch?: true
  /** Version of QEMU, such as `10.0.2`; absent where it is not known. It decides between which hosts guests move live. */
  readonly qemuVersion?: string
  /** What its processor (an emulated one where there is no virtualization) can offer to guests. */
  readonly processor?: { readonly level: ProcessorLevel; readonly model: string }
}

/** What the cluster decided about a host. Written by the coordinator only. */
export interface HostStatus {
  readonly state: 'online' | 'lost'
  /** The boot for which the state was decided: a lost host comes back with a newer one or with the same after a cut. */
  readonly bootId: string
  /** Wall clock, milliseconds since 1970. For people; no decision uses it. */
  readonly since: number
  readonly reason: string
}

/** What the administrator wants of a host. */
export interface HostPolicy {
  readonly maintenance: boolean
  /** The host is being shut down in order: its guests go as the cluster's policy says. Reset when it boots. */
  readonly shutdown?: 'power-off' | 'reboot'
  /** Kind -> name of what it can fail with: `rack` -> `r1`. */
  readonly faultDomains?: Readonly<Record<string, string>>
}

/** What `host list` shows. */
export type HostState = 'online' | 'suspected' | 'lost' | 'maintenance' | 'draining' | 'unknown'
