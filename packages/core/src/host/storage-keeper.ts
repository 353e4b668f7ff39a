/**
 * The storage side of one host: takes replicas away from runs that are over, removes what was deleted, and brings
 * the replicas of stopped guests up to date (a running guest's own host does that for it).
 */
import { afterUncleanEnd } from '../ha/serving.ts'
import {
  canChangePool,
  dueStep,
  isKeptBySnapshots,
  moverAtRest,
  toBeMadeOn,
  withPoolChanged,
} from '../ha/storage-move.ts'
import type { Grant } from '../model/grant.ts'
import type { VolumeId } from '../model/ids.ts'
import type { ClusterState } from '../model/cluster.ts'
import { KEYS } from '../model/keys.ts'
import { inSync, isActive, isFillable, isWhole, replicaIn, replicaOn, withCurrent } from '../model/records.ts'
import type { Removal, Volume } from '../model/volume.ts'
import { exportNameOf } from './disk-keeper.ts'
import type { HostContext } from './host-context.ts'
import { ok } from '../result.ts'
import { watchRecords } from './record-watch.ts'
import { dropOldBitmaps, resync } from './resync.ts'
import { exportRevoked, resyncFinished } from './storage-events.ts'
import { makeIncoming, moveOnAtRest } from './storage-mover.ts'

const RETRY_MS = 1_000
const RESYNC_RETRY_MS = 5_000

export class StorageKeeper {
  readonly #context: HostContext
  /** The newest epoch for which older exports are known to be gone. */
  readonly #revokedBelow = new Map<VolumeId, number>()
  /** The epoch of the last hand-over that came to nothing and whose export is known to be gone. */
  readonly #revokedSpent = new Map<VolumeId, number>()
  readonly #busy = new Set<string>()
  readonly #notBefore = new Map<VolumeId, number>()

  constructor(context: HostContext) {
    this.#context = context
  }

  run(signal: AbortSignal): Promise<void> {
    return watchRecords(this.#context, (state) => this.#look(state, signal), signal)
  }

  #look(state: ClusterState, signal: AbortSignal): void {
    if (!this.#context.mirror.loaded) return
    const { self } = this.#context
    for (const { value: volume } of state.volumes.values()) {
      const grant = state.grants.get(volume.guest)?.value
      const own = replicaOn(volume, self)
      if (!own) continue
      if (toBeMadeOn(volume, self)) this.#once(`file ${volume.id}`, () => makeIncoming(this.#context, volume.id))
      if (dueStep(volume) && moverAtRest(volume, grant) === self)
        this.#once(`move ${volume.id}`, () => moveOnAtRest(this.#context, volume.id))
      if (!isActive(grant) && volume.ready) this.#maybeResync(state, volume, grant, signal)
      if (!grant) continue
      const spent = grant.handover ? undefined : grant.spentEpoch
      if (spent !== undefined && this.#revokedSpent.get(volume.id) !== spent)
        this.#once(`revoke spent ${volume.id}`, () => this.#revokeSpent(volume, grant.epoch, spent))
      if ((this.#revokedBelow.get(volume.id) ?? 0) < grant.epoch)
        this.#once(`revoke ${volume.id}`, () => this.#revoke(volume, grant))
    }
    for (const { value: removal } of state.removals.values())
      // Never at once with the making of another replica of the same volume.
      if (removal.host === self) this.#once(`file ${removal.volume}`, () => this.#remove(removal))
  }

  #once(key: string, task: () => Promise<void>): void {
    if (this.#busy.has(key)) return
    this.#busy.add(key)
    task()
      .catch((error: unknown) => this.#context.log.error('a storage task failed', { task: key, error }))
      .finally(() => this.#busy.delete(key))
  }

  async #revoke(volume: Volume, grant: Grant): Promise<void> {
    const { self, volumesOn, events } = this.#context
    const pool = replicaOn(volume, self)?.pool
    if (pool === undefined) return
    const revoked = await volumesOn(self).revokeBelow(volume.id, pool, grant.epoch)
    if (!revoked.ok) {
      await this.#context.clock.sleep(200)
      return
    }
    this.#revokedBelow.set(volume.id, grant.epoch)
    events.tell(...revoked.value.map((name) => exportRevoked(volume.id, self, name)))
  }

  /**
   * What live moves had opened beside the run, and nobody needs any more: of all since the grant, since another one may
   * have come to nothing before this host has seen the end of the first.
   */
  async #revokeSpent(volume: Volume, granted: number, spent: number): Promise<void> {
    const { self, volumesOn, clock } = this.#context
    const pool = replicaOn(volume, self)?.pool
    if (pool === undefined) return
    const info = await volumesOn(self).inspect(volume.id, pool)
    if (!info.ok) return clock.sleep(200)
    for (let epoch = granted + 1; epoch <= spent; epoch++) {
      const name = exportNameOf(volume.id, epoch)
      const revoked = info.value.exports.includes(name)
        ? await volumesOn(self).revokeExport(volume.id, pool, name)
        : ok()
      if (!revoked.ok) return clock.sleep(200)
    }
    this.#revokedSpent.set(volume.id, spent)
  }

  async #remove({ volume, pool, host }: Removal): Promise<void> {
    const { self, volumesOn, store, log, clock } = this.#context
    // As the store has it: this host's copy may lag behind its own removal and a new replica that came after it.
    const key = KEYS.removal(host, volume, pool)
    const [wanted, record] = await Promise.all([store.get(key), store.get(KEYS.volume(volume))])
    if (!wanted.ok || !record.ok) return clock.sleep(RETRY_MS)
    const known = record.value && (JSON.parse(record.value.value) as Volume)
    const isReplica = known && replicaIn(known, self, pool)
    if (!wanted.value || isReplica) return clock.sleep(200)
    const removed = await volumesOn(self).removeReplica(volume, pool)
    if (!removed.ok) {
      log.warn('a deleted replica could not be removed yet', { volume, cause: removed.error })
      await clock.sleep(RETRY_MS)
      return
    }
    this.#revokedBelow.delete(volume)
    this.#revokedSpent.delete(volume)
    const done = await store.transact({ compares: [], writes: [{ kind: 'delete', key }] })
    if (!done.ok) await clock.sleep(RETRY_MS)
  }

  /** Without a grant the guest has never run; its replicas were made equal. */
  #maybeResync(state: ClusterState, volume: Volume, grant: Grant | undefined, signal: AbortSignal): void {
    const { self, clock } = this.#context
    const source = inSync(volume)[0]
    if (clock.monotonicMs() < (this.#notBefore.get(volume.id) ?? 0)) return
    const isUp = (host: Volume['replicas'][number]['host']) => state.statuses.get(host)?.value.state === 'online'
    if (canChangePool(volume) && !isKeptBySnapshots(state, volume) && moverAtRest(volume, grant) === self) {
      const own = replicaOn(volume, self)
      const change = (syncPoint: string) => ({ ...withPoolChanged(volume), syncPoint })
      return (
        own &&
        this.#once(`resync ${volume.id}`, () =>
          this.#resync(volume, grant?.epoch ?? 0, own, volume.move.incoming, signal, change),
        )
      )
    }
    if (source?.host !== self) return
    const found = volume.replicas.find(
      (replica) => replica.state !== 'in-sync' && isFillable(replica) && isUp(replica.host),
    )
    if (!found) return
    const target = found.stale && grant && !grant.clean ? { ...found, stale: afterUncleanEnd(found.stale) } : found
    this.#once(`resync ${volume.id}`, () => this.#resync(volume, grant?.epoch ?? 0, source, target, signal))
  }

  async #resync(
    volume: Volume,
    epoch: number,
    source: Volume['replicas'][number],
    target: Volume['replicas'][number],
    signal: AbortSignal,
    /** The record once the copy is whole. */
    changed = (syncPoint: string): Volume => withCurrent(volume, target.host, syncPoint),
  ): Promise<void> {
    const { events, store, clock, mirror, volumesOn } = this.#context
    // Of a host that was held to be lost, the guest may still be there: it must not write to what is copied.
    const revoked = await volumesOn(source.host).revokeBelow(volume.id, source.pool, epoch + 1)
    if (!revoked.ok) return clock.sleep(RESYNC_RETRY_MS)
    events.tell(...revoked.value.map((name) => exportRevoked(volume.id, source.host, name)))
    // What the copy starts from: if either record changes before it ends, the copy proves nothing.
    const compares = [
      { key: KEYS.grant(volume.guest), modRevision: mirror.state.grants.get(volume.guest)?.revision ?? 0n },
      { key: KEYS.volume(volume.id), modRevision: mirror.state.volumes.get(volume.id)?.revision ?? 0n },
    ]
    this.#notBefore.set(volume.id, clock.monotonicMs() + RESYNC_RETRY_MS)
    const subject = `volume/${volume.id}`
    events.tell({
      kind: 'resync.started',
      subject,
      message: `the replica on ${target.host} is brought up to date from ${source.host}; its guest is stopped`,
      details: { host: target.host },
    })
    const done = await resync({ context: this.#context, volume, epoch, source, target, signal })
    if (!done.ok) {
      events.tell({
        kind: 'resync.failed',
        subject,
        message: `the replica on ${target.host} could not be brought up to date: ${done.error.message}`,
        details: { host: target.host },
      })
      return
    }
    const next = changed(done.value.syncPoint)
    const outcome = await store.transact({
      compares,
      writes: [{ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(next) }],
    })
    if (!outcome.ok || !outcome.value.committed) return
    if (isWhole(next)) await dropOldBitmaps(this.#context, next, epoch)
    const replica = `the replica on ${target.host}`
    events.tell(...resyncFinished(volume.id, target.host, replica, 'the guest was stopped', done.value))
  }
}
