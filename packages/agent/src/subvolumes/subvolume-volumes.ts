/**
 * The port `VolumeHost` for roots that are subvolumes of this host's pools on btrfs. There is one replica of each and only this
 * host's containers use it, so what is about blocks, bitmaps and copies between hosts is refused. Who may open one is
 * judged as for every replica: by a linearizable read of record and grant. docs/internals/native-roots.md
 */
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import { objectionToOpening } from '@stead/core/ha/export-gate.ts'
import { exportNameOf } from '@stead/core/host/disk-keeper.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import { SNAPSHOTS_MAX, type SnapshotId } from '@stead/core/model/snapshot.ts'
import type { VolumeContent } from '@stead/core/model/volume.ts'
import type { HeldSnapshots } from '@stead/core/ports/replica-snapshots.ts'
import type { ExportAddress, ReplicaInfo, ReplicaSpec, VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { KeyedLock } from '../storage/keyed-lock.ts'
import type { QsdVolumeHostOptions } from '../storage/qsd-volume-host.ts'
import { noCapacity, roomIn } from '../storage/replica-files.ts'
import { cutAlready, neverCut, notPrepared, tooMany } from '../storage/snapshot-refusals.ts'
import type { PoolConfig } from '../storage/storage-daemon.ts'
import {
  canHoldSubvolumes,
  cloneSubvolume,
  deleteSubvolume,
  ensureQuotas,
  limitSubvolume,
  makeSubvolume,
  subvolumeId,
  sweepQgroups,
  syncFileSystem,
} from './btrfs.ts'
import { mountOf, qgroupOf, type QuotaFigures } from './qgroup-figures.ts'
import { dropCopies, restoreFormer, rootFromCopy, rootToClone } from './root-copy-files.ts'
import { SubvolumeFolder } from './subvolume-folder.ts'
import { holdsMore, noBlocks, noRoot, noSubvolumes } from './subvolume-refusals.ts'
import { sweepTemplates, templateSubvolume } from './template-subvolumes.ts'

export interface SubvolumeVolumesOptions extends Pick<
  QsdVolumeHostOptions,
  'pools' | 'readEpoch' | 'isWanted' | 'readRollBack' | 'blobPath'
> {
  /** One for all that is done to subvolumes, by volume and by `pool NAME`. */
  readonly lock: KeyedLock
  /** Whether this host has the blob. */
  readonly hasBlob: (blob: BlobId) => boolean
}

interface Place {
  readonly pool: PoolConfig
  readonly folder: SubvolumeFolder
}

export class SubvolumeVolumes implements VolumeHost {
  readonly #options: SubvolumeVolumesOptions
  readonly #lock: KeyedLock
  /** By volume: the newest run that it was opened for by this agent. */
  readonly #opened = new Map<VolumeId, number>()

  constructor(options: SubvolumeVolumesOptions) {
    this.#options = options
    this.#lock = options.lock
  }

  /** Anything of it is here, also half made. */
  has(volume: VolumeId, pool: string): boolean {
    const place = this.#place(pool)
    return place.ok && place.value.folder.holds(volume)
  }

  /** Where it is, or what a snapshot of it holds; undefined where it is no subvolume of this host. */
  pathOf(volume: VolumeId, pool: string, snapshot?: SnapshotId): string | undefined {
    const place = this.#place(pool)
    if (!place.ok || !this.has(volume, pool)) return undefined
    const { folder } = place.value
    return snapshot === undefined ? folder.root(volume) : folder.snapshot(volume, snapshot)
  }

  createReplica(spec: ReplicaSpec, content?: VolumeContent): Promise<Result<void>> {
    return this.#lock.run(spec.volume, async () => {
      const place = this.#place(spec.pool)
      if (!place.ok) return place
      const { folder, pool } = place.value
      const present = folder.record(spec.volume)
      if (!present.ok) return present
      if (present.value && existsSync(folder.root(spec.volume))) {
        if (present.value.sizeBytes === spec.sizeBytes) return ok()
        const { sizeBytes } = present.value
        return fail(failure('conflict', `Volume ${spec.volume} exists with ${sizeBytes} bytes, not ${spec.sizeBytes}`))
      }
      const wanted = (await this.#options.isWanted?.(spec.volume, spec.pool)) ?? ok(true)
      if (!wanted.ok) return wanted
      if (!wanted.value) return fail(failure('conflict', `Volume ${spec.volume} was deleted meanwhile`))
      mkdirSync(folder.path, { recursive: true, mode: 0o700 })
      if (!canHoldSubvolumes(folder.path)) return fail(noSubvolumes(pool))
      const counting = await this.#lock.run(`pool ${pool.name}`, () => ensureQuotas(folder.path))
      if (!counting.ok) return counting
      const base = spec.cloneOf ? rootToClone(folder, spec.cloneOf) : await this.#template(place.value, content)
      if (!base.ok) return base
      return this.#lock.run(`pool ${pool.name}`, () => this.#make(place.value, spec, base.value))
    })
  }

  async #template({ folder }: Place, content: VolumeContent | undefined): Promise<Result<string | undefined>> {
    if (!content) return ok(undefined)
    const { blob, format } = content
    if (format !== 'raw') return fail(failure('invalid_image', 'The image of a root is no raw image'))
    return this.#lock.run(`template ${blob}`, () => templateSubvolume(folder, blob, () => this.#options.blobPath(blob)))
  }

  async #make({ pool, folder }: Place, spec: ReplicaSpec, base: string | undefined): Promise<Result<void>> {
    const room = await roomIn(pool)
    if (spec.sizeBytes > room) return fail(noCapacity(pool, spec.sizeBytes, room))
    const draft = folder.draft(spec.volume)
    const cleared = await deleteSubvolume(draft)
    if (!cleared.ok) return cleared
    const made = base === undefined ? await makeSubvolume(draft) : await cloneSubvolume(base, draft)
    const published = made.ok ? await this.#publish(folder, spec.volume, spec.sizeBytes) : made
    if (!published.ok) await deleteSubvolume(draft)
    return published
  }

  /** Gives the draft its limit, and its place, which must be free. */
  async #publish(folder: SubvolumeFolder, volume: VolumeId, sizeBytes: number): Promise<Result<void>> {
    const draft = folder.draft(volume)
    const limited = await limitSubvolume(draft, sizeBytes)
    const id = limited.ok ? await subvolumeId(draft) : limited
    const noted = id.ok ? folder.note(volume, { subvolumeId: id.value, sizeBytes }) : id
    if (!noted.ok) return noted
    renameSync(draft, folder.root(volume))
    return syncFileSystem(folder.path)
  }

  /** A limit takes no room of its own: it is only looked whether there is some, and none is set below what is held. */
  async reserveReplica({ volume, pool, sizeBytes }: ReplicaSpec): Promise<Result<void>> {
    return this.#withRoot(volume, pool, async (place, present) => {
      const { heldBytes = 0 } = this.#figures(place, volume) ?? {}
      if (sizeBytes < present && sizeBytes < heldBytes) return fail(holdsMore(volume, heldBytes))
      const missing = sizeBytes - present
      const room = missing > 0 ? await roomIn(place.pool) : missing
      return missing > room ? fail(noCapacity(place.pool, missing, room)) : ok()
    })
  }

  #figures({ pool, folder }: Place, volume: VolumeId): QuotaFigures | undefined {
    const record = folder.record(volume)
    const device = mountOf(pool.path)?.source
    return record.ok && record.value && device !== undefined ? qgroupOf(device, record.value.subvolumeId) : undefined
  }

  removeReplica(volume: VolumeId, pool: string): Promise<Result<void>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(pool)
      if (!place.ok) return place
      const { folder } = place.value
      const snapshots = folder.snapshotsOf(volume)
      for (const snapshot of snapshots) this.#forgetMarker(folder, volume, snapshot)
      const cleared = await dropCopies(folder, volume, [])
      if (!cleared.ok) return cleared
      const paths = [folder.root(volume), folder.draft(volume), folder.former(volume)]
      for (const path of [...paths, ...snapshots.map((each) => folder.snapshot(volume, each))]) {
        const deleted = await deleteSubvolume(path)
        if (!deleted.ok) return deleted
      }
      this.#opened.delete(volume)
      const forgotten = folder.forget(volume)
      await sweepTemplates(folder, this.#options.hasBlob)
      await sweepQgroups(folder.path)
      return forgotten
    })
  }

  async exportToGuest(request: Parameters<VolumeHost['exportToGuest']>[0]): ReturnType<VolumeHost['exportToGuest']> {
    const opened = await this.#open(request)
    return opened.ok ? ok({ ...opened.value, bitmapIsNew: false, revoked: [] }) : opened
  }

  /** A folder has no connection that could be dead: it is as it was, with the limit that it is to have. */
  serveAnew(request: Parameters<VolumeHost['serveAnew']>[0]): Promise<Result<ExportAddress>> {
    return this.#open(request)
  }

  #open(request: Parameters<VolumeHost['serveAnew']>[0]): Promise<Result<ExportAddress>> {
    const { volume, pool, epoch, sizeBytes } = request
    return this.#lock.run(volume, async () => {
      const granted = await this.#options.readEpoch(volume, pool)
      if (!granted.ok) return granted
      const objection = objectionToOpening(volume, granted.value, epoch, 'serve')
      if (objection) return fail(objection)
      return this.#serve(request, epoch, sizeBytes)
    })
  }

  /** The records say that the root is here: where there is none yet, the newest copy is to become it. */
  async #serve(
    { volume, pool: name }: Parameters<VolumeHost['serveAnew']>[0],
    epoch: number,
    sizeBytes: number | undefined,
  ): Promise<Result<ExportAddress>> {
    const place = this.#place(name)
    if (!place.ok) return place
    const settled = await rootFromCopy(place.value.folder, volume, (size) =>
      this.#publish(place.value.folder, volume, size),
    )
    if (!settled.ok) return settled
    return this.#atRoot(place.value, volume, async ({ pool: { port }, folder }, present) => {
      const limited = await this.#limit(folder, volume, present, sizeBytes)
      if (!limited.ok) return limited
      this.#opened.set(volume, epoch)
      const exportName = exportNameOf(volume, epoch)
      return ok({ exportName, loopback: '127.0.0.1', port, folder: folder.root(volume) })
    })
  }

  async #limit(
    folder: SubvolumeFolder,
    volume: VolumeId,
    present: number,
    sizeBytes: number | undefined,
  ): Promise<Result<void>> {
    if (sizeBytes === undefined || sizeBytes === present) return ok()
    const limited = await limitSubvolume(folder.root(volume), sizeBytes)
    const record = limited.ok ? folder.record(volume) : limited
    if (!record.ok) return record
    return record.value ? folder.note(volume, { ...record.value, sizeBytes }) : fail(noRoot(volume))
  }

  /** Those who wrote to it are this host's own containers, which are ended before another run of them begins. */
  async revokeBelow(): Promise<Result<readonly string[]>> {
    return ok([])
  }

  async revokeExport(): Promise<Result<void>> {
    return ok()
  }

  async inspect(volume: VolumeId, pool: string): Promise<Result<ReplicaInfo>> {
    return this.#withRoot(volume, pool, async (_, sizeBytes) => {
      const epoch = this.#opened.get(volume)
      const exports = epoch === undefined ? [] : [exportNameOf(volume, epoch)]
      return ok({ volume, pool, sizeBytes, bitmaps: [], exports })
    })
  }

  flush(volume: VolumeId, pool: string): Promise<Result<void>> {
    return this.#withRoot(volume, pool, ({ folder }) => syncFileSystem(folder.path))
  }

  // Snapshots: each is a read-only subvolume that shares its blocks.

  prepareSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#withRoot(volume, pool, async ({ pool: config, folder }, sizeBytes) => {
      const held = folder.snapshotsOf(volume)
      if (held.includes(snapshot)) return ok()
      if (held.length >= SNAPSHOTS_MAX) return fail(tooMany(volume))
      // Each block that is written again takes a new one, as long as there is any snapshot.
      const room = held.length === 0 ? await roomIn(config) : sizeBytes
      const { bavail, bsize } = statfsSync(config.path)
      const free = Math.min(room, bavail * bsize)
      if (sizeBytes > free) return fail(noCapacity(config, sizeBytes, free))
      writeFileSync(folder.marker(volume, snapshot), '')
      return ok()
    })
  }

  /** What processes have written is in it, whether it has reached the disk or not. */
  cutSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#withRoot(volume, pool, async ({ folder }) => {
      const path = folder.snapshot(volume, snapshot)
      if (existsSync(path)) return fail(cutAlready(volume))
      if (!existsSync(folder.marker(volume, snapshot))) return fail(notPrepared(volume))
      return cloneSubvolume(folder.root(volume), path, 'read-only')
    })
  }

  sealSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#withRoot(volume, pool, async ({ folder }) => {
      if (!existsSync(folder.snapshot(volume, snapshot))) return fail(neverCut(volume))
      const lasts = await syncFileSystem(folder.path)
      if (lasts.ok) this.#forgetMarker(folder, volume, snapshot)
      return lasts
    })
  }

  releaseSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(pool)
      if (!place.ok) return place
      const { folder } = place.value
      this.#forgetMarker(folder, volume, snapshot)
      const deleted = await deleteSubvolume(folder.snapshot(volume, snapshot))
      if (deleted.ok) await sweepQgroups(folder.path)
      return deleted
    })
  }

  async mergeLayers(): Promise<Result<void>> {
    return ok()
  }

  rollBackReplica(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>> {
    return this.#withRoot(volume, pool, async ({ folder }, sizeBytes) => {
      const target = (await this.#options.readRollBack?.(volume)) ?? ok(undefined)
      if (!target.ok) return target
      if (target.value !== snapshot)
        return fail(failure('conflict', `Volume ${volume} is not to be rolled back to this snapshot`))
      const from = folder.snapshot(volume, snapshot)
      if (!existsSync(from)) return fail(failure('not_found', `Volume ${volume} has no such snapshot here`))
      const cleared = await deleteSubvolume(folder.draft(volume))
      const made = cleared.ok ? await cloneSubvolume(from, folder.draft(volume)) : cleared
      const emptied = made.ok ? await deleteSubvolume(folder.former(volume)) : made
      if (!emptied.ok) return emptied
      renameSync(folder.root(volume), folder.former(volume))
      const published = await this.#publish(folder, volume, sizeBytes)
      // Without a root the next one to open it puts the former one back.
      return published.ok ? deleteSubvolume(folder.former(volume)) : published
    })
  }

  async heldSnapshots(): Promise<Result<readonly HeldSnapshots[]>> {
    const held = this.#options.pools.flatMap((pool) => {
      const folder = new SubvolumeFolder(pool.path)
      return folder.volumes.flatMap((volume) => {
        const snapshots = folder.snapshotsOf(volume).map((snapshot) => ({ snapshot }))
        const found: HeldSnapshots = {
          ...{ volume, pool: pool.name, method: 'clones', snapshots },
          ...{ layers: 0, debtBytes: 0 },
        }
        return snapshots.length === 0 ? [] : [found]
      })
    })
    return ok(held)
  }

  // What is about blocks.

  async exportAsTarget(): Promise<Result<ExportAddress>> {
    return fail(noBlocks())
  }

  async dirtyBytes(): Promise<Result<number>> {
    return ok(0)
  }

  async addBitmap(): Promise<Result<void>> {
    return fail(noBlocks())
  }

  async removeBitmap(): Promise<Result<void>> {
    return ok()
  }

  async dirtyRanges(): ReturnType<VolumeHost['dirtyRanges']> {
    return fail(noBlocks())
  }

  async copy(): ReturnType<VolumeHost['copy']> {
    return fail(noBlocks())
  }

  async digests(): ReturnType<VolumeHost['digests']> {
    return fail(noBlocks())
  }

  #forgetMarker(folder: SubvolumeFolder, volume: VolumeId, snapshot: SnapshotId): void {
    rmSync(folder.marker(volume, snapshot), { force: true })
  }

  /** In turn with all else that is done to it. `sizeBytes`: its limit now. */
  #withRoot<T>(
    volume: VolumeId,
    pool: string,
    task: (place: Place, sizeBytes: number) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(pool)
      return place.ok ? this.#atRoot(place.value, volume, task) : place
    })
  }

  async #atRoot<T>(
    place: Place,
    volume: VolumeId,
    task: (place: Place, sizeBytes: number) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const { folder } = place
    restoreFormer(folder, volume)
    const record = folder.record(volume)
    if (!record.ok) return record
    if (!record.value || !existsSync(folder.root(volume))) return fail(noRoot(volume))
    return task(place, record.value.sizeBytes)
  }

  #place(name: string): Result<Place> {
    const pool = this.#options.pools.find((each) => each.name === name)
    if (!pool) return fail(failure('not_found', `This host has no pool ${name}`))
    return ok({ pool, folder: new SubvolumeFolder(pool.path) })
  }
}
