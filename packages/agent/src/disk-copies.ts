/** Files made of what is on a host's disks, on this host or on another one: disks of stopped guests, dumps of containers. */
import { join } from 'node:path'
import type { BlobId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { ImageDisk } from '@stead/core/model/volume.ts'
import type { Result } from '@stead/core/result.ts'
import { STATE_RESERVE_BYTES } from './blobs/blob-store.ts'
import type { AgentConfig } from './config.ts'
import { ContainerDumps, type DumpedContainer, type DumpOrder } from './container/container-dumps.ts'
import type { LxcGuestHost } from './container/lxc-guest-host.ts'
import { DiskCapture } from './images/disk-capture.ts'
import type { Peers } from './peers.ts'
import type { QsdVolumeHost } from './storage/qsd-volume-host.ts'
import { sealedClone } from './storage/replica-clones.ts'

export interface DiskCopiesOptions {
  readonly self: HostId
  readonly config: AgentConfig
  readonly volumes: QsdVolumeHost
  readonly containers: LxcGuestHost
  readonly peers: Peers
  /** Takes a finished file into the blobs under its digest; the file is gone afterwards. */
  readonly keep: (path: string, blob: BlobId, mode?: 0o600) => Promise<Result<void>>
}

const TIMEOUT_MS = 20 * 60_000

export function diskCopies({ self, config, volumes, containers, peers, keep }: DiskCopiesOptions) {
  const shared = {
    workFolder: join(config.stateDir, 'imports'),
    keep,
    ...(config.guestUser ? { user: config.guestUser } : {}),
  }
  const capturer = new DiskCapture({
    ...shared,
    reading: (volume, pool, task) => volumes.withReadingExport(volume, pool, task),
  })
  const dumps = new ContainerDumps({
    ...{ ...shared, reserveBytes: STATE_RESERVE_BYTES },
    keep: (path, blob) => keep(path, blob, 0o600),
    runOf: (guest) => containers.runOf(guest),
    reading: (volume, pool, task, snapshot) => volumes.withReadingExport(volume, pool, task, snapshot),
    cloneOf: async (volume, name, snapshot) => {
      const daemon = volumes.daemon(name)
      return daemon.ok ? sealedClone(daemon.value.pool, volume, snapshot) : undefined
    },
  })
  const on = async <T>(host: HostId, name: string, input: unknown, here: () => Promise<Result<T>>) =>
    host === self ? here() : ((await peers.client(host).callGuest(name, input, TIMEOUT_MS)) as Result<T>)
  return {
    captureDisk: (host: HostId, volume: VolumeId, pool: string) =>
      on<ImageDisk>(host, 'capture-disk', { volume, pool }, () => capturer.capture(volume, pool)),
    dumpContainer: (host: HostId, order: DumpOrder) =>
      on<DumpedContainer>(host, 'dump-container', order, () => dumps.dump(order)),
    /** What other hosts may ask of this one. */
    calls: {
      'capture-disk': (input: unknown) => {
        const { volume, pool } = input as { volume: VolumeId; pool: string }
        return capturer.capture(volume, pool)
      },
      'dump-container': (input: unknown) => dumps.dump(input as DumpOrder),
    },
  }
}
