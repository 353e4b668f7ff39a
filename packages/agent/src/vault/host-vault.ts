/** The vault of one host, joined to its store, its disk and the other hosts. docs/internals/secrets.md. */
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { AgentConfig } from '../config.ts'
import type { Peers } from '../peers.ts'
import { AUTHORITY_KEY_PLACE, trustFiles } from '../trust/trust-files.ts'
import { HeldShares } from './held-shares.ts'
import { SealedStore } from './sealed-store.ts'
import { vaultCalls } from './vault-calls.ts'
import { VaultKeeper } from './vault-keeper.ts'
import { Vault } from './vault.ts'

export interface HostVaultOptions {
  readonly config: AgentConfig
  /** Of etcd: what it holds is sealed. */
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly peers: Pick<Peers, 'client'>
  readonly clock: Clock
  readonly log: Log
}

export function hostVault({ config, store, mirror, peers, clock, log }: HostVaultOptions) {
  const [self, role] = [config.hostId as HostId, config.role]
  const { folder, authorityKey } = trustFiles(config.stateDir)
  const vault = new Vault({ self, role, mirror, clock })
  const held = new HeldShares(join(folder, 'vault.json'))
  const keeper = new VaultKeeper({
    ...{ self, role, config, store, mirror, vault, held, clock, log },
    files: [{ path: authorityKey, place: AUTHORITY_KEY_PLACE }],
    ask: (host, call, input) => peers.client(host).callGuest(call, input),
  })
  return { vault, keeper, store: new SealedStore(store, vault), shareCalls: vaultCalls(held, config) }
}
