/** Files made of what is on a host's disks, on this host or on another one: disks of guests that do not run, dumps of containers. */
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { BlobId, HostId } from '@stead/core/model/ids.ts'
import type { ImageDisk } from '@stead/core/model/volume.ts'
import type { Result } from '@stead/core/result.ts'
import { STATE_RESERVE_BYTES } from './blobs/blob-store.ts'
import type { AgentConfig } from './config.ts'
import { ContainerDumps, type DumpedContainer, type DumpOrder } from './container/container-dumps.ts'
import type { LxcGuestHost } from './container/lxc-guest-host.ts'
import { isCopyWanted, type CaptureOrder } from './images/copy-making.ts'
import { DiskCapture } from './images/disk-capture.ts'
import { UNWATCHED, type MakingTask } from './images/making-task.ts'
import type { Peers } from './peers.ts'
import type { QsdVolumeHost } from './storage/qsd-volume-host.ts'
import { sealedClone } from './storage/replica-clones.ts'
import type { SubvolumeVolumes } from './subvolumes/subvolume-volumes.ts'

export interface DiskCopiesOptions {
  readonly self: HostId
  readonly mirror: ClusterMirror
  readonly config: AgentConfig
  readonly images: QsdVolumeHost
  readonly subvolumes: SubvolumeVolumes
  readonly containers: LxcGuestHost
  readonly peers: Peers
  /** Takes a finished file into the blobs under its digest; the file is gone afterwards. */
  readonly keep: (path: string, blob: BlobId, mode?: 0o600) => Promise<Result<void>>
}

const TIMEOUT_MS = 20 * 60_000

export function diskCopies(options: DiskCopiesOptions) {
  const { self, mirror, config, images, subvolumes, containers, peers, keep } = options
  const shared = {
    workFolder: join(config.stateDir, 'imports'),
    keep,
    ...(config.guestUser ? { user: config.guestUser } : {}),
  }
  const capturer = new DiskCapture({
    ...shared,
    reading: (volume, pool, task) => images.withReadingExport(volume, pool, task),
  })
  const made = new Set<BlobId>()
  const dumps = new ContainerDumps({
    ...{ ...shared, reserveBytes: STATE_RESERVE_BYTES },
    keep: (path, blob) => {
      made.add(blob)
      return keep(path, blob, 0o600)
    },
    runOf: (guest) => containers.runOf(guest),
    reading: (volume, pool, task, snapshot) => images.withReadingExport(volume, pool, task, snapshot),
    subvolumeOf: (volume, pool, snapshot) => subvolumes.pathOf(volume, pool, snapshot),
    cloneOf: async (volume, name, snapshot) => {
      const daemon = images.daemon(name)
      return daemon.ok ? sealedClone(daemon.value.pool, volume, snapshot) : undefined
    },
  })
  const on = async <T>(host: HostId, name: string, input: unknown, here: () => Promise<Result<T>>) =>
    host === self ? here() : ((await peers.client(host).callGuest(name, input, TIMEOUT_MS)) as Result<T>)
  /** For the host that has the record: only the record itself can call it off. */
  const captureForOther = async (order: CaptureOrder) => {
    const over = new AbortController()
    const off = mirror.onChange((state) => isCopyWanted(state, order) || over.abort())
    try {
      return await capturer.capture(order.volume, order.pool, { ...UNWATCHED, signal: over.signal })
    } finally {
      off()
    }
  }
  return {
    /** Dumps of containers that were made here. */
    dumps: made as ReadonlySet<BlobId>,
    captureDisk: (host: HostId, order: CaptureOrder, task: MakingTask) =>
      on<ImageDisk>(host, 'capture-disk', order, () => capturer.capture(order.volume, order.pool, task)),
    dumpContainer: (host: HostId, order: DumpOrder) =>
      on<DumpedContainer>(host, 'dump-container', order, () => dumps.dump(order)),
    /** What other hosts may ask of this one. */
    calls: {
      'capture-disk': (input: unknown) => captureForOther(input as CaptureOrder),
      'dump-container': (input: unknown) => dumps.dump(input as DumpOrder),
    },
  }
}
