/** The replicas of this host, and the gate through which other hosts come to them. */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import { namesReplica } from '@stead/core/ha/export-gate.ts'
import type { BlobId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import { ok } from '@stead/core/result.ts'
import type { BlobStore } from './blobs/blob-store.ts'
import type { AgentConfig } from './config.ts'
import { openRemoteSend, remoteRootCopies, rootCopyService } from './http/remote-root-copies.ts'
import type { Peers } from './peers.ts'
import { readEpoch } from './storage/granted-epoch.ts'
import { KeyedLock } from './storage/keyed-lock.ts'
import { QsdVolumeHost } from './storage/qsd-volume-host.ts'
import { doorwaysTo, keepStorageDoor, NBD_PORT_FIRST } from './storage/storage-door.ts'
import { StorageGate } from './storage/storage-gate.ts'
import { SubvolumeCopies } from './subvolumes/subvolume-copies.ts'
import { SubvolumeVolumes } from './subvolumes/subvolume-volumes.ts'
import { volumesByForm } from './subvolumes/volumes-by-form.ts'

export interface HostStorageOptions {
  readonly config: AgentConfig
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly bootId: string
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly peers: Peers
  readonly blobs: BlobStore
  readonly onRestart: (name: string) => () => void
  readonly clock: Clock
  readonly log: Log
}

export interface HostStorage {
  /** Those that are images of disks. */
  readonly images: QsdVolumeHost
  /** All of them. */
  readonly volumes: VolumeHost
  readonly subvolumes: SubvolumeVolumes
  readonly gate: StorageGate
  readonly rootCopies: {
    readonly ports: Pick<HostContext, 'ownRoots' | 'rootsOn'>
    readonly service: ReturnType<typeof rootCopyService>
  }
}

/** Answers once nobody but hosts of the cluster can connect. */
export async function hostStorage(options: HostStorageOptions, signal: AbortSignal): Promise<HostStorage> {
  const { config, helper, bootId, store, mirror, peers, blobs, onRestart, clock, log } = options
  const self = config.hostId as HostId
  await keepStorageDoor(config, (host) => knowsNoGate(mirror, host as HostId), clock, log, signal)
  const gate = new StorageGate({
    ...{ config, bootId, helper, clock, log },
    doorways: doorwaysTo(config.pools),
    onRestart: onRestart('the storage gate'),
  })
  const judging = {
    pools: config.pools.map((pool, index) => ({ ...pool, port: NBD_PORT_FIRST + index })),
    readEpoch: (volume: VolumeId, pool: string) => readEpoch(store, self, volume, pool),
    isWanted: async (volume: VolumeId, pool: string) => {
      const record = await store.get(KEYS.volume(volume))
      return record.ok ? ok(namesReplica(record.value?.value, self, pool)) : record
    },
    readRollBack: async (volume: VolumeId) => {
      const record = await store.get(KEYS.volume(volume))
      if (!record.ok) return record
      return ok(record.value ? (JSON.parse(record.value.value) as Volume).rollBackTo : undefined)
    },
    blobPath: (blob: BlobId) => blobs.ensure(blob),
  }
  const images = new QsdVolumeHost({
    ...judging,
    helper,
    ...(config.guestUser ? { user: config.guestUser } : {}),
    bootId,
    remoteDigests: (host, volume, pool, range) => peers.volumes(host as HostId).digests(volume, pool, range),
  })
  const lock = new KeyedLock()
  const subvolumes = new SubvolumeVolumes({ ...judging, lock, hasBlob: (blob) => blobs.find(blob) !== undefined })
  const ownRoots = new SubvolumeCopies({
    ...{ self, pools: judging.pools, lock },
    readVolume: async (volume) => {
      const record = await store.get(KEYS.volume(volume))
      return record.ok ? ok(record.value && (JSON.parse(record.value.value) as Volume)) : record
    },
    watch: (volume, changed) => mirror.onChange((state) => changed(state.volumes.get(volume)?.value)),
    open: (host, order, ending) => openRemoteSend(peers.client(host), order, ending),
  })
  const rootsOn = (host: HostId) => (host === self ? ownRoots : remoteRootCopies(peers.client(host)))
  return {
    ...{ images, subvolumes, volumes: volumesByForm(images, subvolumes), gate },
    rootCopies: { ports: { ownRoots, rootsOn }, service: rootCopyService(ownRoots) },
  }
}

/** Its version opens replicas of other hosts in clear, and cannot do otherwise. */
function knowsNoGate(mirror: ClusterMirror, host: HostId): boolean {
  const record = mirror.state.hosts.get(host)?.value
  return record?.role === 'compute' && !record.storageGate
}
