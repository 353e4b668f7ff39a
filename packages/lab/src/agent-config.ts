/** The configuration that the lab writes for each host's agent. The agent checks it against a schema of its own. */
import { join } from 'node:path'
import type { HostRole, NetworkRole } from '@stead/core/model/host.ts'
import { btrfsPool } from './btrfs-pool.ts'
import { etcdMembers, hostFolder } from './topology.ts'
import type { LabHostSpec, LabPlaces } from './topology.ts'

const GIB = 1024 ** 3

export interface AgentMember {
  readonly hostId: string
  readonly role: HostRole
  readonly order: number
  readonly addresses: Readonly<Record<NetworkRole, string>>
}

export interface AgentConfig extends AgentMember {
  readonly clusterName: string
  /** 32 bytes in hexadecimal: hosts prove to each other with it that they are of one cluster. */
  readonly clusterKey: string
  readonly agentPort: number
  readonly heartbeatPort: number
  readonly etcdClientPort: number
  readonly etcdPeerPort: number
  /** All hosts of the cluster, this one among them. */
  readonly members: readonly AgentMember[]
  /** Host ids of etcd's voters. */
  readonly etcdMembers: readonly string[]
  readonly stateDir: string
  readonly pools: readonly { readonly name: string; readonly path: string; readonly capacityBytes: number }[]
  readonly capacity: { readonly cpuCount: number; readonly memoryBytes: number }
  readonly detectionMs: number
  readonly heartbeatIntervalMs: number
  readonly leaseTtlMs: number
  /** Whom guests run as: no account of the machine has this id. */
  readonly guestUser: { readonly uid: number; readonly gid: number }
  /** Folder of the compiled helpers. */
  readonly nativeDir: string
  /** Path of CRIU; absent: the machine's own. */
  readonly criu?: string
  readonly apiToken: string
}

export interface LabSecrets {
  readonly clusterKey: string
  readonly apiToken: string
}

export function agentConfig(
  places: LabPlaces,
  hosts: readonly LabHostSpec[],
  host: LabHostSpec,
  secrets: LabSecrets,
  { nativeDir, criu }: { readonly nativeDir: string; readonly criu: string | undefined },
): AgentConfig {
  const stateDir = hostFolder(places, host.id)
  return {
    ...member(host),
    clusterName: places.lab,
    clusterKey: secrets.clusterKey,
    agentPort: 8444,
    heartbeatPort: 8445,
    etcdClientPort: 2379,
    etcdPeerPort: 2380,
    members: hosts.map(member),
    etcdMembers: etcdMembers(hosts),
    stateDir,
    // A witness holds no data.
    pools:
      host.role === 'witness'
        ? []
        : [
            { name: 'default', path: join(stateDir, 'pools', 'default'), capacityBytes: 20 * GIB },
            // Never the roomiest: only who asks for it gets it.
            ...(host.btrfsPool ? [{ name: 'btrfs', path: btrfsPool(stateDir).path, capacityBytes: GIB }] : []),
            ...(host.fastPool ? [{ name: 'fast', path: join(stateDir, 'pools', 'fast'), capacityBytes: GIB }] : []),
          ],
    capacity: { cpuCount: 2, memoryBytes: 8 * GIB },
    detectionMs: 1000,
    heartbeatIntervalMs: 200,
    leaseTtlMs: 3000,
    guestUser: { uid: 64_990, gid: 64_990 },
    nativeDir,
    ...(criu === undefined ? {} : { criu }),
    apiToken: secrets.apiToken,
  }
}

function member(host: LabHostSpec): AgentMember {
  return { hostId: host.id, role: host.role, order: host.number, addresses: host.addresses }
}
