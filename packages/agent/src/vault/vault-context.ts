import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import type { SecretFile } from './sealed-file.ts'
import type { HeldShares } from './held-shares.ts'
import type { Vault } from './vault.ts'

export interface VaultContext {
  readonly self: HostId
  readonly role: HostRole
  readonly config: Pick<AgentConfig, 'members' | 'etcdMembers'>
  /** As it is: what is read from it is sealed. */
  readonly store: Pick<Store, 'get' | 'range' | 'transact'>
  readonly mirror: Pick<ClusterMirror, 'state' | 'loaded' | 'until'>
  readonly vault: Vault
  readonly held: HeldShares
  /** Of this host, sealed where they are. */
  readonly files: readonly SecretFile[]
  /** A call of another host's `vaultCalls`. */
  readonly ask: (host: HostId, call: string, input: unknown) => Promise<Result<unknown>>
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly log: Log
}
