/**
 * The coordinator's part in snapshots: those of guests that do not run, roll-backs, and schedules. All of it from the
 * records, so that whoever coordinates next goes on where this one stopped.
 */
import { failure } from '../errors.ts'
import { snapshotTurn } from '../ha/snapshot-quota.ts'
import { scheduledSteps, type ScheduledStep } from '../ha/snapshot-schedule.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { KEYS } from '../model/keys.ts'
import { isActive, volumesOf } from '../model/records.ts'
import type { Snapshot, SnapshotId } from '../model/snapshot.ts'
import type { HostContext } from './host-context.ts'
import { watchRecords } from './record-watch.ts'
import { rollBack } from './roll-back.ts'
import { putSnapshot, replaceSnapshot, undoSnapshot } from './snapshot-records.ts'
import { onAll, participantsOf, sealAll } from './snapshot-replicas.ts'

export class SnapshotCoordination {
  readonly #context: HostContext
  readonly #isCoordinating: () => boolean
  readonly #busy = new Set<string>()
  /** Of those that this life of the agent is making. */
  readonly #mine = new Set<string>()

  constructor(context: HostContext, isCoordinating: () => boolean) {
    this.#context = context
    this.#isCoordinating = isCoordinating
  }

  run(signal: AbortSignal): Promise<void> {
    const look = (state: ClusterState) => this.#look(state)
    return watchRecords(this.#context, look, signal, (state) => this.#keepSchedules(state))
  }

  #look(state: ClusterState): void {
    if (!this.#isCoordinating()) return
    for (const [key, snapshot] of state.snapshots) {
      const { value } = snapshot
      if (value.state === 'ready' || this.#busy.has(value.guest) || isActive(state.grants.get(value.guest)?.value))
        continue
      this.#busy.add(value.guest)
      this.#attend(state, key, snapshot)
        .catch((error: unknown) => this.#context.log.error('a snapshot failed', { snapshot: value.name, error }))
        .finally(() => this.#busy.delete(value.guest))
    }
  }

  async #attend(state: ClusterState, key: string, seen: Versioned<Snapshot>): Promise<void> {
    const guest = state.guests.get(seen.value.guest)
    // Its guest was erased while somebody wrote the record; so nothing of it is left.
    if (!guest) return undoSnapshot(this.#context, seen, failure('not_found', 'its guest was deleted'))
    switch (seen.value.state) {
      case 'wanted':
        return this.#take(state, seen, guest)
      case 'cutting':
        if (seen.value.cutter && this.#mine.has(seen.value.cutter.life)) return
        return undoSnapshot(this.#context, seen, failure('conflict', 'the agent that was making it ended'))
      case 'rolling-back':
        return rollBack(this.#context, seen, guest)
      default:
        this.#context.log.error('a snapshot is in no state that is known', { key })
    }
  }

  /** Of a guest that does not run: nobody writes, as long as neither grant nor volumes change until it is recorded. */
  async #take(state: ClusterState, seen: Versioned<Snapshot>, guest: Versioned<Guest>): Promise<void> {
    const { self, random, events, clock, mirror } = this.#context
    const grant = state.grants.get(guest.value.id)
    const volumes = volumesOf(state, guest.value)
    const objection = seen.value.withMemory
      ? `${guest.value.name} does not run: there is no memory to keep`
      : objectionTo(guest.value, volumes, grant?.value.clean ?? true)
    if (!volumes || objection) return undoSnapshot(this.#context, seen, failure('conflict', objection ?? 'no disk'))
    const life = random.uuid()
    const unchanged = [
      { key: KEYS.grant(guest.value.id), modRevision: grant?.revision ?? 0n },
      ...volumes.map(({ value, revision }) => ({ key: KEYS.volume(value.id), modRevision: revision })),
    ]
    const cutter = { host: self, epoch: grant?.value.epoch ?? 0, life }
    const begun = await replaceSnapshot(this.#context, seen, { ...seen.value, state: 'cutting', cutter }, unchanged)
    if (!begun) return
    this.#mine.add(life)
    const participants = participantsOf(volumes.map(({ value }) => value))
    let done = await onAll(this.#context, 'prepareSnapshot', seen.value.id, participants)
    const atMs = clock.wallMs()
    if (done.ok) done = await onAll(this.#context, 'cutSnapshot', seen.value.id, participants)
    const sealed = done.ok ? await sealAll(this.#context, seen.value.id, participants) : done
    if (!sealed.ok) await undoSnapshot(this.#context, begun, sealed.error)
    else {
      const { cutter: _cutter, ...rest } = begun.value
      // The guest had unmounted its file systems, or had never run.
      const ready = {
        ...rest,
        state: 'ready',
        createdAt: atMs,
        consistent: 'filesystem',
        volumes: sealed.value,
      } as const
      const { name } = guest.value
      const said = events.writesFor([
        {
          kind: 'snapshot.created',
          subject: `guest/${name}`,
          message: `${name}, which does not run, has the snapshot ${ready.name}`,
          details: { snapshot: ready.name, consistent: ready.consistent },
        },
      ])
      const recorded = await replaceSnapshot(this.#context, begun, ready, unchanged, said)
      if (!recorded) await undoSnapshot(this.#context, begun, failure('conflict', 'the guest was started meanwhile'))
    }
    const key = `${seen.value.guest}/${seen.value.name}`
    await mirror.until((now) => now.snapshots.get(key)?.value.cutter?.life !== life, clock.sleep(1_000))
    this.#mine.delete(life)
  }

  #keepSchedules(state: ClusterState): void {
    if (!this.#isCoordinating()) return
    for (const step of scheduledSteps(state, this.#context.clock.wallMs())) {
      const guest = step.kind === 'take' ? step.guest.value.id : step.snapshot.value.guest
      const key = `schedule ${guest}`
      if (this.#busy.has(key)) continue
      this.#busy.add(key)
      this.#do(step, state)
        .catch((error: unknown) => this.#context.log.error('a schedule failed', { guest, error }))
        .finally(() => this.#busy.delete(key))
    }
  }

  async #do(step: ScheduledStep, state: ClusterState): Promise<void> {
    const { store, events, random } = this.#context
    if (step.kind === 'remove') {
      const { value: snapshot, revision } = step.snapshot
      const name = state.guests.get(snapshot.guest)?.value.name ?? snapshot.guest
      const key = KEYS.snapshot(snapshot.guest, snapshot.name)
      const said = events.writesFor([
        {
          kind: 'snapshot.deleted',
          subject: `guest/${name}`,
          message: `the snapshot ${snapshot.name} of ${name} is older than its schedule keeps, and is deleted`,
          details: { snapshot: snapshot.name },
        },
      ])
      await store.transact({ compares: [{ key, modRevision: revision }], writes: [{ kind: 'delete', key }, ...said] })
      return
    }
    const { guest, name, nowMs, withMemory } = step
    const schedule = guest.value.snapshotSchedule
    if (!schedule) return
    const snapshot: Snapshot = {
      id: random.uuid().replaceAll('-', '') as SnapshotId,
      guest: guest.value.id,
      name,
      createdAt: nowMs,
      state: 'wanted',
      wanted: 'filesystem',
      consistent: 'crash',
      volumes: [],
      scheduled: true,
      ...(withMemory ? { withMemory } : {}),
    }
    const turn = snapshotTurn(state, guest.value)
    const noted: Guest = { ...guest.value, snapshotSchedule: { ...schedule, lastAt: nowMs } }
    await store.transact({
      compares: [
        { key: KEYS.guest(guest.value.id), modRevision: guest.revision },
        { key: KEYS.snapshot(guest.value.id, name), modRevision: 0n },
        ...turn.compares,
      ],
      writes: [
        putSnapshot(snapshot),
        { kind: 'put', key: KEYS.guest(guest.value.id), value: JSON.stringify(noted) },
        ...turn.writes,
      ],
    })
  }
}

function objectionTo(guest: Guest, volumes: ReturnType<typeof volumesOf>, wasClean: boolean): string | undefined {
  if (guest.deleting) return `${guest.name} is being deleted`
  if (!volumes || volumes.length === 0) return `${guest.name} has no disk`
  if (!volumes.every(({ value }) => value.ready)) return `the disks of ${guest.name} are being made`
  if (!wasClean)
    return `the last run of ${guest.name} ended without its last flush: its replicas may differ until it is started`
  return undefined
}
